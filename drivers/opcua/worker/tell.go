package worker

import (
	"fmt"

	"github.com/millgate/millgate/drivers"
)

// tellDevices makes an event for each device that the server has.
func (s *session) tellDevices(event func(device string) drivers.Event) {
	told := make(map[string]bool)
	for _, g := range s.groups {
		if told[g.setup.Device] {
			continue
		}
		told[g.setup.Device] = true
		g.mu.Lock()
		g.event(event(g.setup.Device))
		g.mu.Unlock()
	}
}

// once says that something was not said before.
func (s *session) once(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.told[text] {
		return false
	}
	if s.told == nil {
		s.told = make(map[string]bool)
	}
	s.told[text] = true
	return true
}

// tellCertificate makes an event of a certificate that keeps the server from being read, once.
func (s *session) tellCertificate(err error) {
	cause := drivers.CauseOf(err)
	switch cause {
	case drivers.CauseCertificateUnknown, drivers.CauseCertificateExpired, drivers.CauseCertificateWrong, drivers.CauseCertificateRefused:
	default:
		return
	}
	if !s.once(err.Error()) {
		return
	}
	zh := string(cause)
	for _, c := range drivers.Causes() {
		if c.Cause == cause {
			zh = c.ZH
		}
	}
	s.tellDevices(func(device string) drivers.Event {
		return drivers.Event{Kind: drivers.EventCertificate, Severity: drivers.Severe, Cause: cause, Text: drivers.EventText{
			EN: fmt.Sprintf("%s: %v", device, err), ZH: fmt.Sprintf("%s：%s：%v", device, zh, err),
		}}
	})
}

// tellWarnings makes an event of each thing that is to be said of the certificates of a connection, once.
func (s *session) tellWarnings(warnings []string) {
	for _, w := range warnings {
		if !s.once(w) {
			continue
		}
		s.tellDevices(func(device string) drivers.Event {
			return drivers.Event{Kind: drivers.EventCertificate, Severity: drivers.Warning, Text: drivers.EventText{
				EN: fmt.Sprintf("%s: %s", device, w), ZH: fmt.Sprintf("%s：证书提示：%s", device, w),
			}}
		})
	}
}
