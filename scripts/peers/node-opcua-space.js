// What the foreign server of node-opcua.js holds.
"use strict";
const plantURI = "http://millgate.example/plant";

// build fills the address space. It returns what node-opcua.js does with it.
exports.build = function (opcua, server, options) {
  const addressSpace = server.engine.addressSpace;
  for (const uri of options.before.split(",").filter(Boolean)) addressSpace.registerNamespace(uri);
  const ns = addressSpace.registerNamespace(plantURI);
  const folder = ns.addFolder(addressSpace.rootFolder.objects, { browseName: "Plant", nodeId: "s=Plant" });
  const counters = addCounters(opcua, addressSpace, ns, folder, options);
  addValues(opcua, ns, folder);
  addStructure(addressSpace, ns, folder);
  const machine = options["machine-tool"] ? addMachineTool(addressSpace) : null;
  return new Plant(opcua, addressSpace, ns, folder, counters, machine, Number(options.tick));
};

function addCounters(opcua, addressSpace, ns, folder, options) {
  const counters = new Map();
  const parent = ns.addFolder(folder, { browseName: "Counters", nodeId: "s=Counters" });
  for (let i = 0; i < Number(options.variables); i++) {
    const name = "Counter." + i;
    const historizing = i < Number(options.history);
    const v = addCounter(opcua, ns, parent, name, historizing);
    if (historizing) addressSpace.installHistoricalDataNode(v, { maxOnlineValues: Number(options.kept) });
    counters.set(name, v);
  }
  return counters;
}

function addCounter(opcua, ns, parent, name, historizing) {
  return ns.addVariable({
    componentOf: parent,
    browseName: name,
    nodeId: "s=" + name,
    dataType: "UInt32",
    accessLevel: historizing ? "CurrentRead | HistoryRead" : "CurrentRead",
    userAccessLevel: historizing ? "CurrentRead | HistoryRead" : "CurrentRead",
    minimumSamplingInterval: 0,
    historizing,
    value: new opcua.Variant({ dataType: "UInt32", value: 0 }),
  });
}

// addValues: one variable of each kind whose reading can go wrong.
function addValues(opcua, ns, folder) {
  const { VariantArrayType, DataValue, StatusCodes } = opcua;
  const add = (name, dataType, value, more) =>
    ns.addVariable({ componentOf: folder, browseName: name, nodeId: "s=" + name, dataType, accessLevel: "CurrentRead", minimumSamplingInterval: 0, value, ...more });
  const constant = (name, dataType, value, more) => add(name, dataType, { dataType, arrayType: VariantArrayType.Scalar, value }, more);
  const asked = { minimumSamplingInterval: 100 };
  constant("Bool", "Boolean", true);
  constant("SByte", "SByte", -128);
  constant("Int64", "Int64", [0x7fffffff, 0xffffffff]); // 2^63-1
  constant("UInt64", "UInt64", [0xffffffff, 0xffffffff]); // 2^64-1
  constant("Float", "Float", 0.1);
  constant("Double", "Double", 0.1);
  constant("NaN", "Double", NaN);
  constant("Text", "String", "数控机床-一号");
  constant("温度", "Double", 21.5);
  constant("Localized", "LocalizedText", { locale: "zh", text: "运行中" });
  constant("Moment", "DateTime", new Date(Date.UTC(2026, 0, 2, 3, 4, 5, 678)));
  add("Array", "Float", { dataType: "Float", arrayType: VariantArrayType.Array, value: new Float32Array([1.5, 2.5, NaN]) }, { valueRank: 1 });
  add("State", "ServerState", { dataType: "Int32", value: 3 }); // Suspended
  add("Bad", "Double", { timestamped_get: () => new DataValue({ statusCode: StatusCodes.BadSensorFailure, sourceTimestamp: new Date() }) }, asked);
  add("Uncertain", "Double", {
    timestamped_get: () =>
      new DataValue({ statusCode: StatusCodes.UncertainLastUsableValue, sourceTimestamp: new Date(), value: { dataType: "Double", value: 7.5 } }),
  }, asked);
}

// addStructure: s=Spindle is a structure of node-opcua-types.xml.
function addStructure(addressSpace, ns, folder) {
  const spindle = addressSpace.findDataType("SpindleType", addressSpace.getNamespaceIndex("http://millgate.example/types"));
  ns.addVariable({
    componentOf: folder,
    browseName: "Spindle",
    nodeId: "s=Spindle",
    dataType: spindle.nodeId,
    accessLevel: "CurrentRead",
    minimumSamplingInterval: 0,
    value: {
      dataType: "ExtensionObject",
      value: addressSpace.constructExtensionObject(spindle.nodeId, {
        speed: 1250.5,
        load: 0.75,
        program: "主程序",
        axis: { position: 12.25, homed: true },
        temperatures: [20.5, 21.5],
      }),
    },
  });
}

// addMachineTool makes an instance of MachineToolType in the folder Machines, as OPC 40001-1 asks for.
function addMachineTool(addressSpace) {
  const index = (uri) => addressSpace.getNamespaceIndex("http://opcfoundation.org/UA/" + uri + "/");
  const machines = addressSpace.findNode("ns=" + index("Machinery") + ";i=1001");
  const machine = addressSpace
    .findObjectType("MachineToolType", index("MachineTool"))
    .instantiate({ browseName: "数控车床01", organizedBy: machines, optionals: ["Production", "Equipment", "Notification"] });
  return machine;
}

class Plant {
  #counters;
  #tick = 0;
  #first = 0;
  #timer = null;

  constructor(opcua, addressSpace, ns, folder, counters, machine, interval) {
    Object.assign(this, { opcua, addressSpace, ns, folder, machine, interval });
    this.#counters = counters;
  }

  count() {
    return this.#tick;
  }

  firstTick() {
    return this.#first;
  }

  ticks(n) {
    for (let i = 0; i < n; i++) this.#step();
    return this.#tick;
  }

  #step() {
    this.#tick++;
    const now = new Date();
    this.#first ||= now.getTime();
    const value = { dataType: this.opcua.DataType.UInt32, value: this.#tick };
    for (const v of this.#counters.values()) v.setValueFromSource(value, this.opcua.StatusCodes.Good, now);
  }

  resume() {
    this.#timer ??= setInterval(() => this.#step(), this.interval);
    return this.#tick;
  }

  pause() {
    clearInterval(this.#timer);
    this.#timer = null;
    return this.#tick;
  }

  #counter(name) {
    const v = this.#counters.get(name);
    if (!v) throw new Error("there is no variable " + name);
    return v;
  }

  remove(name) {
    const v = this.#counter(name);
    this.#counters.delete(name);
    this.addressSpace.deleteNode(v);
  }

  add(name) {
    const parent = this.addressSpace.findNode("ns=" + this.ns.index + ";s=Counters");
    this.#counters.set(name, addCounter(this.opcua, this.ns, parent, name, false));
  }

  bad(name) {
    this.#counter(name).setValueFromSource(null, this.opcua.StatusCodes.BadNoCommunication, new Date());
  }
}
