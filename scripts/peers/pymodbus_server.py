#!/usr/bin/python3
"""A Modbus server by pymodbus. Prints READY. Unit 1; what the table does not name reads 0.

pymodbus_server.py TABLE.tsv tcp|rtutcp|asciitcp PORT
pymodbus_server.py TABLE.tsv rtu|ascii PTY [BAUD]
"""
import asyncio
import struct
import sys

from pymodbus.datastore import ModbusSequentialDataBlock, ModbusServerContext, ModbusSlaveContext
from pymodbus.framer.ascii_framer import ModbusAsciiFramer
from pymodbus.framer.rtu_framer import ModbusRtuFramer
from pymodbus.framer.socket_framer import ModbusSocketFramer
from pymodbus.server.async_io import StartAsyncSerialServer, StartAsyncTcpServer

FORMATS = {"int16": ">h", "uint16": ">H", "int32": ">i", "uint32": ">I", "int64": ">q", "uint64": ">Q", "float32": ">f", "float64": ">d"}


def big_endian(kind, raw):
    if kind.startswith("bcd"):
        return bytes.fromhex(raw.zfill(int(kind[3:]) // 4))
    if kind.startswith("string"):
        return raw.encode().ljust(int(kind[7:-1]), b"\0")
    number = float(raw) if kind.startswith("float") else int(raw)
    return struct.pack(FORMATS[kind], number)


def registers(kind, order, raw):
    data = big_endian(kind, raw)
    words = [data[i : i + 2] for i in range(0, len(data), 2)]
    if order in ("CDAB", "DCBA"):
        words.reverse()
    return [int.from_bytes(w, "little" if order in ("BADC", "DCBA") else "big") for w in words]


def load(path):
    tables = {name: [0] * 10001 for name in ("coil", "discrete_input", "input_register", "holding_register")}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("#"):
                continue
            _, table, address, kind, order, raw, _, _ = line.rstrip("\n").split("\t")
            values = [raw == "true"] if kind == "bool" else registers(kind, order, raw)
            tables[table][int(address) : int(address) + len(values)] = values
    return {name: ModbusSequentialDataBlock(0, values) for name, values in tables.items()}


def context(path):
    blocks = load(path)
    unit = ModbusSlaveContext(
        co=blocks["coil"], di=blocks["discrete_input"], ir=blocks["input_register"], hr=blocks["holding_register"], zero_mode=True
    )
    return ModbusServerContext(slaves={1: unit}, single=False)


async def main(path, mode, where, baud="9600"):
    framer = {"tcp": ModbusSocketFramer, "rtu": ModbusRtuFramer, "asc": ModbusAsciiFramer}[mode[:3]]
    common = {"context": context(path), "framer": framer, "defer_start": True, "ignore_missing_slaves": True}
    if mode.endswith("tcp"):
        server = await StartAsyncTcpServer(address=("127.0.0.1", int(where)), allow_reuse_address=True, **common)
    else:
        server = await StartAsyncSerialServer(port=where, baudrate=int(baud), **common)
        await server.start()
    print("READY", flush=True)
    await server.serve_forever()


asyncio.run(main(*sys.argv[1:]))
