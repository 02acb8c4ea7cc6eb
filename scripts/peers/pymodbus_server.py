#!/usr/bin/python3
"""A Modbus TCP server by pymodbus: pymodbus_server.py PORT TABLE.tsv. Prints READY. Unit 1; what the table does not name reads 0."""
import asyncio
import struct
import sys

from pymodbus.datastore import ModbusSequentialDataBlock, ModbusServerContext, ModbusSlaveContext
from pymodbus.server.async_io import StartAsyncTcpServer

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


async def main():
    blocks = load(sys.argv[2])
    unit = ModbusSlaveContext(
        co=blocks["coil"], di=blocks["discrete_input"], ir=blocks["input_register"], hr=blocks["holding_register"], zero_mode=True
    )
    context = ModbusServerContext(slaves={1: unit}, single=False)
    print("READY", flush=True)
    await StartAsyncTcpServer(context=context, address=("127.0.0.1", int(sys.argv[1])), allow_reuse_address=True)


asyncio.run(main())
