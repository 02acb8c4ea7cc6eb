package configs

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/millgate/millgate/drivers/modbus"
)

// TestLayersAreOnePoint lays random keys over a point: the same must come out as if the last of each had been written at once.
func TestLayersAreOnePoint(t *testing.T) {
	choices := map[string][]string{
		"label": {"a", "b"}, "address": {"1", "0x20", "300"}, "type": {"uint16", "uint32", "uint64"}, "word_order": {"ABCD", "CDAB"},
		"scale": {"0.1", "2"}, "offset": {"1", "-3"}, "unit": {"kW.h", "m3"}, "interval": {"1s", "1m"}, "deadband": {"0", "2"},
		"max_silence": {"1m", "2m"}, "invalid": {"[all_ones]", "[0x8000, 3]"}, "bits": {"3", "0-7"}, "modulus": {"0.5", "0.2"},
		"resolution": {"0.1", "0.01"}, "max_rate": {"5", "6"}, "enabled": {"true", "false"},
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	pick := func(into map[string]string, share float64) string {
		text := ""
		for _, key := range slices.Sorted(maps.Keys(choices)) {
			if rng.Float64() < share {
				into[key] = choices[key][rng.IntN(len(choices[key]))]
				text += fmt.Sprintf(", %s: %s", key, into[key])
			}
		}
		return text
	}
	read := func(texts ...string) (*pointSpec, Problems) {
		d := document{file: "x", problems: &Problems{}}
		var layers []layer
		for _, text := range texts {
			layers = append(layers, layer{document: &d, node: d.parse([]byte(text))})
		}
		p := readPoint(layers, dialect{modbusProtocol, zeroBased, modbus.ABCD})
		p.layers, p.places = nil, nil
		return p, *d.problems
	}
	for range 500 {
		merged := map[string]string{"table": "holding_register", "kind": "counter"}
		texts := []string{"{name: p, table: holding_register, kind: counter, address: 7, type: int64}"}
		merged["address"], merged["type"] = "7", "int64"
		for range rng.IntN(3) {
			if text := pick(merged, 0.3); text != "" {
				texts = append(texts, "{"+strings.TrimPrefix(text, ", ")+"}")
			}
		}
		whole := "{name: p"
		for key, value := range merged {
			whole += fmt.Sprintf(", %s: %s", key, value)
		}
		got, gotProblems := read(texts...)
		want, wantProblems := read(whole + "}")
		if !reflect.DeepEqual(got, want) || len(gotProblems) != len(wantProblems) {
			t.Fatalf("%v\ngot  %+v %v\nwant %+v %v", texts, got, gotProblems, want, wantProblems)
		}
	}
}
