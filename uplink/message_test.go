package uplink

import (
	"strings"
	"testing"

	"github.com/millgate/millgate/buffer"
)

func TestParseMessage(t *testing.T) {
	const head = `{"v":1,"stream":"readings","site":"s","gateway":"g","epoch":"e","seq":1,`
	tests := []struct{ name, payload, want string }{
		{"newer members", head + `"lane":"live","readings":[{"device":"d","t":1,"values":{"a":1},"notes":[1]}]}`, ""},
		{"newer stream", `{"v":1,"stream":"waves","epoch":"e","seq":1,"waves":[null]}`, ""},
		{"newer event", `{"v":1,"stream":"events","epoch":"e","seq":1,"events":[{"t":1,"kind":"moon","severity":"x","subject":"y","text":{"zh":"","en":""},"z":1}]}`, ""},
		{"not JSON", `{"v":1`, "unexpected end"},
		{"another version", `{"v":2,"stream":"readings","epoch":"e","seq":1}`, "version 2"},
		{"no version", `{"stream":"readings","epoch":"e","seq":1}`, "version 0"},
		{"no epoch", `{"v":1,"stream":"readings","seq":1}`, "missing"},
		{"no stream", `{"v":1,"epoch":"e","seq":1}`, "missing"},
		{"no seq", `{"v":1,"stream":"readings","epoch":"e"}`, "missing"},
		{"negative seq", `{"v":1,"stream":"readings","epoch":"e","seq":-1}`, "cannot unmarshal"},
		{"null value", head + `"readings":[{"device":"d","t":1,"values":{"a":null}}]}`, "d/a is null"},
		{"array value", head + `"readings":[{"device":"d","t":1,"values":{"a":[1]}}]}`, "d/a is [1]"},
		{"object value", head + `"readings":[{"device":"d","t":1,"values":{"a":{}}}]}`, "d/a is {}"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseMessage([]byte(tt.payload))
			switch {
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got %v, want …%s…", err, tt.want)
			}
		})
	}
}

func FuzzParseMessage(f *testing.F) {
	f.Add(AppendBlock(nil, testSelf, typicalBlock())[:2000])
	f.Add(AppendBlock(nil, testSelf, &buffer.Block{Epoch: testEpoch, Stream: buffer.Readings, Seq: 1}))
	f.Add([]byte(`{"v":1,"stream":"events","epoch":"e","seq":1,"events":[{"t":1,"fields":{"a":[1,null]}}]}`))
	f.Add([]byte(`{"v":1,"stream":"readings","epoch":"e","seq":1,"readings":[{"values":{"a":null}},null,{"bad":null}],"seen":null}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		m, err := ParseMessage(payload)
		if err != nil {
			return
		}
		if m.V != 1 || m.Seq == 0 || m.Epoch == "" || m.Stream == "" {
			t.Fatalf("accepted %+v", m)
		}
		for _, o := range m.Readings {
			for tag, v := range o.Values {
				if len(v) == 0 || v[0] == 'n' {
					t.Fatalf("accepted %s for %s", v, tag)
				}
			}
		}
	})
}
