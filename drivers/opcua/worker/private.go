package worker

import (
	"fmt"
	"reflect"
	"unsafe"

	gopcua "github.com/gopcua/opcua"
	"github.com/gopcua/opcua/ua"
)

// The library keeps to itself two things of a session, without which neither can a server be held to its certificate nor a session be closed
// that was never activated. A test fails if another version of the library has them no longer; then no connection is made at all.

// serverCertificate is the certificate that the library encrypts for and signs over.
func serverCertificate(s *gopcua.Session) (*[]byte, error) {
	field := reflect.ValueOf(s).Elem().FieldByName("serverCertificate")
	if !field.IsValid() || field.Type() != reflect.TypeFor[[]byte]() {
		return nil, fmt.Errorf("this version of the OPC UA library has no serverCertificate in its sessions")
	}
	return (*[]byte)(unsafe.Pointer(field.UnsafeAddr())), nil
}

// authenticationToken is the secret name of a session.
func authenticationToken(s *gopcua.Session) (*ua.NodeID, error) {
	field := reflect.ValueOf(s).Elem().FieldByName("resp")
	if !field.IsValid() || field.Type() != reflect.TypeFor[*ua.CreateSessionResponse]() {
		return nil, fmt.Errorf("this version of the OPC UA library has no resp in its sessions")
	}
	return (*(**ua.CreateSessionResponse)(unsafe.Pointer(field.UnsafeAddr()))).AuthenticationToken, nil
}
