// Package opcua reads OPC UA servers through workers: processes of the same program, one for each server.
//
// It owns the configuration of a server and of its points, the pipe between the gateway and a worker, the supervision of workers, the
// drivers that the collector reads from, and the trust store. The client itself is in drivers/opcua/worker, the only package that knows
// the protocol: whatever a server sends, it can end a worker and nothing else.
//
// Invariants:
//  1. One worker and one session per server, whoever mentions it.
//  2. A reading is acknowledged at the server only when it is durable here.
//  3. What a server had to tell and did not reach us is filled from its history, or counted as lost with its cause.
//  4. A device is up only while its server answers: no publish response and no answered read for long enough is down, whatever the
//     state of the connection.
//  5. No connection is weaker than configured: neither policy, nor mode, nor user, nor the server's certificate.
//  6. A secret never stands on a command line, in an environment, in a log or in a status.
//
// Is: what the gateway's process has of OPC UA. Is not: the protocol, an address space, a write.
package opcua

import (
	"time"

	"github.com/millgate/millgate/drivers"
)

// Config is one poll group of one device.
type Config struct {
	Device   string
	Server   Server // equal in all groups at the same endpoint
	Interval time.Duration
	Polled   bool // every Read asks for every point; else the server notifies of what changed
	Root     Root // where the Paths of the points begin
	Points   []Point
	Since    int64   // when the device was last heard before this start, ms since 1970 UTC; 0: never
	Last     []int64 // per point, the stamp of the last reading before this start, 0: none is known; nil: of no point
}

// Root finds the object at which Paths begin, once for each session. The zero Root finds none.
type Root struct {
	Node string // NodeID of the object itself, written as that of a Point; empty: it is searched
	Type string // NodeID of the object's type, or of a type above it; searched below Objects along hierarchical references
	Name string // BrowseName without its namespace, or DisplayName, of the one among several; empty: there is only one
}

// Server is how to reach one server.
type Server struct {
	Endpoint string // opc.tcp://host:port/path, as the site says
	Policy   Policy
	Mode     Mode
	User     User

	AllowDeprecated    bool          // Basic128Rsa15 and Basic256
	AllowPlainPassword bool          // a password without encryption
	AllowTransfer      bool          // TransferSubscriptions after the session was lost: some servers end on it
	ApplicationURI     string        // ours, and the URI in our certificate
	Trust              string        // folder of the trust store
	Timeout            time.Duration // of one request
	SessionTimeout     time.Duration
	Publishing         time.Duration // shortest publishing interval; 0: the group's interval
	Clock              Clock
}

// Policy is the last part of a security policy's URI (Part 7, 6.6).
type Policy string

// The policies. The last two are deprecated.
const (
	PolicyNone          Policy = "None"
	Basic256Sha256      Policy = "Basic256Sha256"
	Aes128Sha256RsaOaep Policy = "Aes128_Sha256_RsaOaep"
	Aes256Sha256RsaPss  Policy = "Aes256_Sha256_RsaPss"
	Basic256            Policy = "Basic256"
	Basic128Rsa15       Policy = "Basic128Rsa15"
)

// Policies are all of them.
var Policies = []Policy{PolicyNone, Basic256Sha256, Aes128Sha256RsaOaep, Aes256Sha256RsaPss, Basic256, Basic128Rsa15}

// Deprecated says that the policy is no longer secure (Part 7, 6.6).
func (p Policy) Deprecated() bool { return p == Basic256 || p == Basic128Rsa15 }

// URI is the policy as servers name it.
func (p Policy) URI() string { return "http://opcfoundation.org/UA/SecurityPolicy#" + string(p) }

// Mode is a message security mode (Part 4, 7.20).
type Mode string

// The modes.
const (
	ModeNone       Mode = "None"
	Sign           Mode = "Sign"
	SignAndEncrypt Mode = "SignAndEncrypt"
)

// Modes are all of them.
var Modes = []Mode{ModeNone, Sign, SignAndEncrypt}

// User is who reads. The zero User is anonymous.
type User struct {
	Name     string
	Password func() (string, error) `json:"-"` // nil: none; called for each worker
	CertFile string                 // of an X.509 user, PEM or DER
	KeyFile  string
}

// Kind is "anonymous", "password" or "certificate".
func (u User) Kind() string {
	switch {
	case u.CertFile != "":
		return "certificate"
	case u.Name != "":
		return "password"
	}
	return "anonymous"
}

// Clock is what is thought of the time stamps of a server. The zero Clock uses them.
type Clock struct {
	Ignore   bool          // take the gateway's time
	Zone     string        // the server sends local time of this zone as UTC; empty: it sends UTC
	MaxError time.Duration // beyond it a stamp is not believed; 0: DefaultClockError
}

// DefaultClockError is how far a server's clock may be off before its stamps are not believed.
const DefaultClockError = 10 * time.Second

// Point is where a tag lives in a server and how it is read.
type Point struct {
	Tag    *drivers.Tag `json:"-"`
	Node   string       // NodeID, its namespace by URI: nsu=http://…;s=…, or i=… of the OPC UA namespace; ns=2;… is taken as it is
	Path   string       // in place of Node: BrowseNames without their namespace below the group's Root, / between them, & before a / or & within one
	Select string       // the part of the value: [3] of an array, .Field of a structure, and so on; empty: all of it
	Type   drivers.Type // of the tag; what the server sends must fit
	Scale  drivers.Decimal
	Offset drivers.Decimal

	Sampling      time.Duration // 0: the group's interval
	Queue         uint32        // values that the server keeps; 0: enough for ten minutes, at most 10,000
	DiscardNewest bool          // what a full queue drops; else the oldest
	Deadband      float64       // the server tells only what differs by more, in the server's unit; 0: any change
}
