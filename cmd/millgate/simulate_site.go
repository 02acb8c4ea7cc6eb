package main

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/millgate/millgate/configs"
	"github.com/millgate/millgate/drivers/modbus"
)

// writeSite copies the site's text with the endpoints of the simulator, and proves the copy by loading it.
func (s *simulator) writeSite(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if a, err := os.Stat(from); err == nil {
		if b, err := os.Stat(to); err == nil && os.SameFile(a, b) {
			return fmt.Errorf("--write-site %s would overwrite the site itself; choose another file", to)
		}
	}
	if err := os.WriteFile(to, []byte(s.redirect(string(text))), 0o600); err != nil {
		return err
	}
	copied, err := configs.Load(to)
	if err != nil {
		return fmt.Errorf("write %s beside %s, whose relative paths it keeps, and take out of that what only its own endpoints can have:\n%w", to, from, err)
	}
	return s.proveCopy(copied, from)
}

// proveCopy looks at every endpoint of the copy.
func (s *simulator) proveCopy(copied *configs.Site, from string) error {
	serving := map[string]bool{}
	for _, link := range s.links {
		serving[link.Addr()] = true
	}
	for _, server := range s.servers {
		place, _ := opcuaPlace(server.Endpoint())
		serving[place] = true
	}
	for _, d := range copied.Devices {
		for _, g := range d.Groups {
			if g.OPCUA != nil {
				if place, _ := opcuaPlace(g.OPCUA.Server.Endpoint); !serving[place] {
					return fmt.Errorf("the endpoint of device %s could not be found in %s; write it as endpoint: \"opc.tcp://host:port\"", d.ID, from)
				}
				continue
			}
			if e := g.Modbus.Link.Endpoint; e.Transport != modbus.Listen && !serving[e.Address] {
				return fmt.Errorf("the endpoint of device %s could not be found in %s; write it as endpoint: \"tcp://host:port\"", d.ID, from)
			}
		}
	}
	return nil
}

// unprotected stands at the head of a copy with OPC UA devices.
const unprotected = "# The OPC UA servers of this copy are simulated: security_policy None, and no user.\n"

// redirect is the text of a site with the endpoints in it that the simulator serves.
func (s *simulator) redirect(text string) string {
	var out strings.Builder
	if len(s.servers) > 0 {
		out.WriteString(unprotected)
	}
	for text != "" {
		before, device, after := cutOPCUA(text)
		for line := range strings.Lines(before) {
			out.WriteString(s.redirectLine(line))
		}
		out.WriteString(s.redirectOPCUA(device))
		text = after
	}
	return out.String()
}

// endpointForm is an endpoint where it stands in a site, quoted or not.
var endpointForm = regexp.MustCompile(`(\bendpoint:\s*)("[^"]*"|'[^']*'|[^\s,}"']+)`)

// tlsForm is the files of an encrypted link, behind its endpoint in the same braces. The simulator serves it without encryption.
var tlsForm = regexp.MustCompile(`,\s*tls:\s*\{[^{}]*\}`)

// redirectLine is about links of Modbus.
func (s *simulator) redirectLine(line string) string {
	encrypted := false
	line = endpointForm.ReplaceAllStringFunc(line, func(found string) string {
		m := endpointForm.FindStringSubmatch(found)
		endpoint, err := modbus.ParseEndpoint(strings.Trim(m[2], `"'`))
		if err != nil {
			return found
		}
		link := s.links[modbus.LinkConfig{Endpoint: endpoint}.Place()]
		if link == nil {
			return found
		}
		encrypted = encrypted || endpoint.Transport == modbus.TLS
		return m[1] + strconv.Quote(link.endpoint().String())
	})
	if encrypted {
		line = tlsForm.ReplaceAllString(line, "")
	}
	return line
}

// opcuaForm is the key of a device on OPC UA, up to its value.
var opcuaForm = regexp.MustCompile(`(?m)^([^#\n]*?)\bopcua:[ \t]*(\{|(#[^\n]*)?$)`)

// cutOPCUA cuts a text around the value of its first opcua key: in braces, or the lines that are indented further than the key.
func cutOPCUA(text string) (before, value, after string) {
	m := opcuaForm.FindStringSubmatchIndex(text)
	if m == nil {
		return text, "", ""
	}
	if begin := m[4]; m[5] > begin && text[begin] == '{' {
		end := begin + closing(text[begin:])
		return text[:begin], text[begin:end], text[end:]
	}
	indent := len(text[m[2]:m[3]])
	begin := m[1] + strings.IndexByte(text[m[1]:]+"\n", '\n')
	begin = min(begin+1, len(text))
	end := begin
	for line := range strings.Lines(text[begin:]) {
		if content := strings.TrimLeft(line, " "); strings.TrimSpace(content) != "" && len(line)-len(content) <= indent {
			break
		}
		end += len(line)
	}
	return text[:begin], text[begin:end], text[end:]
}

// closing is the length of what stands in the braces with which a text begins, and of the braces.
func closing(text string) int {
	depth, quote := 0, byte(0)
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"', c == '\'':
			quote = c
		case c == '#' && i > 0 && (text[i-1] == ' ' || text[i-1] == '\n'):
			i += strings.IndexByte(text[i:]+"\n", '\n')
		case c == '{', c == '[':
			depth++
		case c == '}', c == ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(text)
}

// How the settings stand that the simulator does not have, in braces and in lines of their own.
var (
	inBraces  = regexp.MustCompile(`(?s)\b(?:user:\s*\{[^{}]*\}|(?:security_policy|security_mode|allow_deprecated|allow_plain_password):\s*[^,{}#\s]+)[ \t]*(?:,[ \t]*)?`)
	lastComma = regexp.MustCompile(`(?:,[ \t]*|[ \t]+)(\n[ \t]*)?\}$`)
	inLines   = regexp.MustCompile(`^( *)(user|security_policy|security_mode|allow_deprecated|allow_plain_password):`)
)

// redirectOPCUA is the value of an opcua key with a simulated endpoint, and without what protects it.
func (s *simulator) redirectOPCUA(value string) string {
	m := endpointForm.FindStringSubmatch(value)
	if m == nil {
		return value
	}
	place, _ := opcuaPlace(strings.Trim(m[2], `"'`))
	server := s.servers[place]
	if server == nil {
		return value
	}
	endpoint := m[1] + strconv.Quote(server.Endpoint())
	if strings.HasPrefix(value, "{") {
		value = lastComma.ReplaceAllString(inBraces.ReplaceAllString(value, ""), "$1}")
		return endpointForm.ReplaceAllLiteralString(value, endpoint+", security_policy: None, security_mode: None")
	}
	redirected, dropped := "", -1 // the indentation of what is being left out
	for line := range strings.Lines(value) {
		content := strings.TrimLeft(line, " ")
		indent := len(line) - len(content)
		if dropped >= 0 && (indent > dropped || strings.TrimSpace(content) == "") {
			continue
		}
		if dropped = -1; inLines.MatchString(line) {
			dropped = indent
			continue
		}
		redirected += endpointForm.ReplaceAllStringFunc(line, func(string) string {
			pad := "\n" + line[:indent]
			return endpoint + pad + "security_policy: None" + pad + "security_mode: None"
		})
	}
	return redirected
}
