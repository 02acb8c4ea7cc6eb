// A foreign OPC UA server for the tests: node-opcua. It prints "READY <endpoint>" and then obeys the lines of its standard input, each
// answered by one line that begins with "ok" or "error"; it ends with its input or on SIGTERM.
//
//   node node-opcua.js --port 24840 --pki DIR [--variables 1000] [--tick 100] ...      (see options below)
//
// Variables are in the namespace http://millgate.example/plant: s=Counter.0 ... count up by one at each tick, with its time as their
// source time stamp. node-opcua-space.js has the others.
"use strict";
const options = require("node:util").parseArgs({
  options: {
    port: { type: "string", default: "24840" },
    pki: { type: "string" }, // folder of its certificates and of what it trusts
    variables: { type: "string", default: "100" },
    tick: { type: "string", default: "1000" }, // ms
    history: { type: "string", default: "0" }, // so many of the counters keep history
    kept: { type: "string", default: "10000" }, // values of history for each
    policies: { type: "string", default: "None,Basic256Sha256,Aes128_Sha256_RsaOaep,Aes256_Sha256_RsaPss" },
    modes: { type: "string", default: "None,Sign,SignAndEncrypt" },
    user: { type: "string", default: "operator:secret" }, // of the password
    "no-anonymous": { type: "boolean", default: false },
    strict: { type: "boolean", default: false }, // unknown certificates are refused, and stored as rejected
    trust: { type: "string", multiple: true, default: [] }, // certificate files of applications
    "trust-user": { type: "string", multiple: true, default: [] }, // and of X.509 users
    certificate: { type: "string" }, // PEM of its own, with --key; without, it makes one in --pki
    key: { type: "string" },
    uri: { type: "string", default: "urn:millgate.example:server" }, // of the application
    "max-sessions": { type: "string", default: "50" },
    "max-read": { type: "string", default: "1000" }, // nodes in a request
    "max-monitor": { type: "string", default: "1000" }, // items in a request
    queue: { type: "string", default: "10000" }, // longest
    "max-items": { type: "string", default: "50000" },
    before: { type: "string", default: "" }, // URIs of namespaces that stand before the plant's, separated by commas
    "clock-offset": { type: "string", default: "0" }, // ms
    "machine-tool": { type: "boolean", default: false }, // a machine of OPC 40501-1
    verbose: { type: "boolean", default: false },
  },
}).values;

// Every clock of this process is off: time stamps, CurrentTime, and what it thinks of certificates' dates. It is set before node-opcua loads.
let clockOffset = 0;
const TrueDate = Date;
globalThis.Date = class extends TrueDate {
  constructor(...args) {
    if (args.length === 0) super(TrueDate.now() + clockOffset);
    else super(...args);
  }
  static now() {
    return TrueDate.now() + clockOffset;
  }
};

globalThis.crypto ??= require("node:crypto").webcrypto; // which Node 18 does not show by itself

const fs = require("node:fs");
const path = require("node:path");
const opcua = require("node-opcua");
const { nodesets } = require("node-opcua-nodesets");
const space = require("./node-opcua-space.js");

const number = (name) => Number(options[name]);

async function manager(folder, trusted) {
  const m = new opcua.OPCUACertificateManager({
    rootFolder: path.join(options.pki, folder),
    automaticallyAcceptUnknownCertificate: !options.strict,
    disableFileWatchers: true,
  });
  await m.initialize();
  for (const file of trusted) await m.trustCertificate(certificate(file));
  return m;
}

// certificate is the DER of a file that holds DER or PEM.
function certificate(file) {
  const text = fs.readFileSync(file);
  const pem = /-----BEGIN CERTIFICATE-----([^-]+)-----END/.exec(text.toString("latin1"));
  return pem ? Buffer.from(pem[1], "base64") : text;
}

async function newServer() {
  const [userName, password] = options.user.split(":");
  const files = [nodesets.standard, path.join(__dirname, "node-opcua-types.xml")];
  if (options["machine-tool"]) {
    const { di, ia, machinery, isa95JobControl, machineryJobs, machineTool } = nodesets;
    files.push(di, ia, machinery, isa95JobControl, machineryJobs, machineTool);
  }
  const managers = [await manager("server", options.trust), await manager("users", options["trust-user"])];
  const server = new opcua.OPCUAServer({
    host: "127.0.0.1",
    hostname: "127.0.0.1",
    port: number("port"),
    resourcePath: "/UA/test",
    nodeset_filename: files,
    serverCertificateManager: managers[0],
    userCertificateManager: managers[1],
    ...(options.certificate && { certificateFile: options.certificate, privateKeyFile: options.key }),
    serverInfo: { applicationUri: options.uri, applicationName: { text: "millgate test server" } },
    allowAnonymous: !options["no-anonymous"],
    userManager: { isValidUser: (u, p) => u === userName && p === password },
    securityPolicies: options.policies.split(",").map((p) => opcua.SecurityPolicy[p]),
    securityModes: options.modes.split(",").map((m) => opcua.MessageSecurityMode[m]),
    maxConnectionsPerEndpoint: 200,
    serverCapabilities: {
      maxSessions: number("max-sessions"),
      maxSubscriptions: 200,
      maxSubscriptionsPerSession: 50,
      maxMonitoredItems: number("max-items"),
      maxMonitoredItemsPerSubscription: number("max-items"),
      maxMonitoredItemsQueueSize: number("queue"),
      operationLimits: {
        maxNodesPerRead: number("max-read"),
        maxMonitoredItemsPerCall: number("max-monitor"),
        maxNodesPerBrowse: 1000,
        maxNodesPerHistoryReadData: 100,
        maxNodesPerTranslateBrowsePathsToNodeIds: 1000,
      },
    },
  });
  await server.initialize();
  return { server, managers };
}

// commands are what the standard input may ask for: each is given the words after its name and returns the answer.
function commands({ server, managers }, plant) {
  const sessions = () => server.engine.getSessions();
  return {
    "tick?": () => plant.count(),
    "start?": () => plant.firstTick(), // ms since 1970 UTC, by its own clock
    "sessions?": () => server.engine.currentSessionCount,
    "subscriptions?": () => server.engine.currentSubscriptionCount,
    "cpu?": () => process.cpuUsage().user + process.cpuUsage().system, // µs
    pause: () => plant.pause(),
    resume: () => plant.resume(),
    ticks: (n) => plant.ticks(Number(n)), // at once
    clock: (ms) => (clockOffset = Number(ms)),
    remove: (name) => plant.remove(name),
    add: (name) => plant.add(name),
    bad: (name) => plant.bad(name), // until the next tick sets it
    "delete-session": () => {
      const all = sessions();
      for (const s of all) server.engine.closeSession(s.authenticationToken, true, "Forcing");
      return all.length;
    },
    "delete-subscription": () => {
      let n = 0;
      for (const s of sessions())
        for (const id of [...s.publishEngine.subscriptions].map((sub) => sub.id)) {
          s.deleteSubscription(id);
          n++;
        }
      return n;
    },
    state: (name) => server.engine.setServerState(opcua.ServerState[name]), // Running, Suspended, Shutdown ...
    trust: async () => {
      // what it has rejected so far
      let n = 0;
      for (const m of managers)
        for (const file of fs.readdirSync(m.rejectedFolder)) {
          await m.trustCertificate(certificate(path.join(m.rejectedFolder, file)));
          n++;
        }
      return n;
    },
  };
}

function obey(known, stop) {
  const lines = require("node:readline").createInterface({ input: process.stdin });
  let queue = Promise.resolve(); // one at a time
  lines.on("line", (line) => {
    const [name, ...words] = line.trim().split(/\s+/);
    queue = queue
      .then(() => {
        if (!known[name]) throw new Error("there is no command " + name);
        return known[name](...words);
      })
      .then((answer) => console.log("ok " + name + " " + (answer ?? "")))
      .catch((err) => console.log("error " + name + " " + err.message));
  });
  lines.on("close", stop);
}

async function main() {
  if (!options.pki) throw new Error("--pki is missing");
  clockOffset = number("clock-offset");
  const made = await newServer();
  const plant = space.build(opcua, made.server, options);
  await made.server.start();
  if (options.verbose) {
    made.server.on("create_session", (s) => console.error("session", s.sessionName));
    made.server.on("openSecureChannelFailure", (socket, channel) => console.error("refused", JSON.stringify(channel)));
  }
  const stop = async () => {
    plant.pause();
    await made.server.shutdown(100);
    process.exit(0);
  };
  process.on("SIGTERM", stop);
  obey(commands(made, plant), stop);
  plant.resume();
  console.log("READY opc.tcp://127.0.0.1:" + options.port + "/UA/test");
}

main().catch((err) => {
  console.error(err);
  process.exit(1);
});
