package opcuasim

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"slices"
	"time"

	"github.com/gopcua/opcua/ua"
	"github.com/gopcua/opcua/uapolicy"
	"github.com/gopcua/opcua/uasc"
)

// session is one client's, on whatever connection it was last activated (Part 4, 5.6).
type session struct {
	token         *ua.NodeID
	id            *ua.NodeID
	nonce         []byte
	certificate   []byte // the client's
	conn          *conn
	active        bool
	timeout       time.Duration
	heard         time.Time
	waiting       []publishRequest
	subscriptions map[uint32]*subscription
	pages         map[string][]*ua.ReferenceDescription // by continuation point, what BrowseNext will give
}

const (
	nonceLength    = 32
	minimalTimeout = time.Second
	maximalTimeout = time.Hour
)

// security is one way in which a client may connect.
type security struct {
	policy string
	mode   ua.MessageSecurityMode
}

func (s *Server) securities() []security {
	all := []security{{ua.SecurityPolicyURINone, ua.MessageSecurityModeNone}}
	if s.key != nil {
		all = append(all, security{ua.SecurityPolicyURIBasic256Sha256, ua.MessageSecurityModeSign},
			security{ua.SecurityPolicyURIBasic256Sha256, ua.MessageSecurityModeSignAndEncrypt})
	}
	return all
}

// offers says whether the channel is as one of the endpoints has it.
func (s *Server) offers(c *uasc.Config) bool {
	return slices.Contains(s.securities(), security{c.SecurityPolicyURI, c.SecurityMode})
}

// endpoints is what the server offers, at the address by which the client knows it.
func (s *Server) endpoints(url string) []*ua.EndpointDescription {
	if url == "" {
		url = s.Endpoint()
	}
	application := &ua.ApplicationDescription{
		ApplicationURI: ApplicationURI, ProductURI: ApplicationURI, ApplicationName: ua.NewLocalizedText("millgate simulator"),
		ApplicationType: ua.ApplicationTypeServer, DiscoveryURLs: []string{url},
	}
	token := &ua.UserTokenPolicy{PolicyID: "anonymous", TokenType: ua.UserTokenTypeAnonymous}
	if s.config.Users != nil {
		token = &ua.UserTokenPolicy{PolicyID: "username", TokenType: ua.UserTokenTypeUserName, SecurityPolicyURI: ua.SecurityPolicyURINone}
		if s.key != nil {
			token.SecurityPolicyURI = ua.SecurityPolicyURIBasic256Sha256
		}
	}
	var all []*ua.EndpointDescription
	for _, way := range s.securities() {
		all = append(all, &ua.EndpointDescription{
			EndpointURL: url, Server: application, ServerCertificate: s.certificate, SecurityMode: way.mode, SecurityPolicyURI: way.policy,
			UserIdentityTokens:  []*ua.UserTokenPolicy{token},
			TransportProfileURI: "http://opcfoundation.org/UA-Profile/Transport/uatcp-uasc-uabinary",
			SecurityLevel:       uapolicy.SecurityLevel(way.policy, way.mode),
		})
	}
	return all
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return b
}

// createSession is Part 4, 5.6.2.
func (s *Server) createSession(c *conn, r *ua.CreateSessionRequest) (ua.Response, error) {
	if s.closed {
		return nil, ua.StatusBadServerHalted
	}
	signature, algorithm, err := c.channel.NewSessionSignature(slices.Clip(r.ClientCertificate), r.ClientNonce)
	if err != nil {
		return nil, ua.StatusBadCertificateInvalid
	}
	timeout := time.Duration(r.RequestedSessionTimeout) * time.Millisecond
	session := &session{
		token: ua.NewByteStringNodeID(0, random(nonceLength)), id: ua.NewNumericNodeID(1, s.nextID()), nonce: random(nonceLength),
		certificate: slices.Clone(r.ClientCertificate), conn: c, timeout: min(max(timeout, minimalTimeout), maximalTimeout),
		heard: time.Now(), subscriptions: map[uint32]*subscription{}, pages: map[string][]*ua.ReferenceDescription{},
	}
	s.sessions[session.token.String()] = session
	s.stats.SessionsMade++
	return &ua.CreateSessionResponse{
		ResponseHeader: header(r, ua.StatusOK), SessionID: session.id, AuthenticationToken: session.token,
		RevisedSessionTimeout: float64(session.timeout.Milliseconds()), ServerNonce: session.nonce,
		ServerCertificate: s.certificate, ServerEndpoints: s.endpoints(r.EndpointURL),
		ServerSignature: &ua.SignatureData{Signature: signature, Algorithm: algorithm},
	}, nil
}

// sessionOf is the session of a request. One that is not active, or that came over another connection, may only be activated or closed.
func (s *Server) sessionOf(c *conn, request ua.Request) (*session, error) {
	session := s.sessions[request.Header().AuthenticationToken.String()]
	if session == nil {
		return nil, ua.StatusBadSessionIDInvalid
	}
	switch request.(type) {
	case *ua.ActivateSessionRequest, *ua.CloseSessionRequest:
	default:
		if !session.active {
			return nil, ua.StatusBadSessionNotActivated
		}
		if session.conn != c {
			return nil, ua.StatusBadSecureChannelIDInvalid
		}
	}
	session.heard = time.Now()
	return session, nil
}

// activateSession is Part 4, 5.6.3. On another connection it takes the session's subscriptions along; requests to publish that
// wait on the old one are forgotten with it.
func (s *Server) activateSession(c *conn, session *session, r *ua.ActivateSessionRequest) (ua.Response, error) {
	if err := c.channel.VerifySessionSignature(session.certificate, session.nonce, r.ClientSignature.Signature); err != nil {
		return nil, ua.StatusBadApplicationSignatureInvalid
	}
	if err := s.checkUser(session, r.UserIdentityToken); err != nil {
		return nil, err
	}
	if session.conn != c {
		session.conn, session.waiting = c, nil
	}
	session.active, session.nonce = true, random(nonceLength)
	return &ua.ActivateSessionResponse{ResponseHeader: header(r, ua.StatusOK), ServerNonce: session.nonce}, nil
}

func (s *Server) checkUser(session *session, token *ua.ExtensionObject) error {
	if token == nil {
		return ua.StatusBadIdentityTokenInvalid
	}
	switch user := token.Value.(type) {
	case nil, *ua.AnonymousIdentityToken: // none at all is anonymous (Part 4, 5.6.3.2)
		if s.config.Users == nil {
			return nil
		}
	case *ua.UserNameIdentityToken:
		if s.config.Users == nil {
			break
		}
		given, err := s.decrypt(user, session.nonce)
		if err != nil {
			return ua.StatusBadIdentityTokenInvalid
		}
		want, known := s.config.Users[user.UserName]
		if !known || subtle.ConstantTimeCompare(given, []byte(want)) == 0 {
			return ua.StatusBadUserAccessDenied
		}
		return nil
	}
	return ua.StatusBadIdentityTokenRejected
}

// decrypt is the password in a token: its length with the nonce, the password, and the nonce (Part 4, 7.40.2.2).
func (s *Server) decrypt(user *ua.UserNameIdentityToken, nonce []byte) ([]byte, error) {
	if s.key == nil {
		return user.Password, nil
	}
	algorithm, err := uapolicy.Asymmetric(ua.SecurityPolicyURIBasic256Sha256, s.key, &s.key.PublicKey)
	if err != nil {
		return nil, err
	}
	secret, err := algorithm.Decrypt(user.Password)
	if err != nil || len(secret) < 4 {
		return nil, ua.StatusBadIdentityTokenInvalid
	}
	n := binary.LittleEndian.Uint32(secret)
	if secret = secret[4:]; uint64(n) > uint64(len(secret)) || !bytes.HasSuffix(secret[:n], nonce) {
		return nil, ua.StatusBadIdentityTokenInvalid
	}
	return secret[:int(n)-len(nonce)], nil
}

// endSession takes a session away; what waits is answered with the status.
func (s *Server) endSession(session *session, status ua.StatusCode) {
	for _, sub := range session.subscriptions {
		s.endSubscription(sub)
	}
	session.refuseWaiting(status)
	delete(s.sessions, session.token.String())
}

const expiryStep = 200 * time.Millisecond

// expireSessions ends those that were not heard for their time-out.
func (s *Server) expireSessions() {
	tick := time.NewTicker(expiryStep)
	defer tick.Stop()
	for {
		select {
		case <-s.done:
			return
		case now := <-tick.C:
			s.mu.Lock()
			for _, session := range s.sessions {
				if now.Sub(session.heard) > session.timeout {
					s.endSession(session, ua.StatusBadTimeout)
				}
			}
			s.mu.Unlock()
		}
	}
}
