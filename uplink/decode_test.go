package uplink

import (
	"cmp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/millgate/millgate/buffer"
	"github.com/millgate/millgate/drivers"
)

func newTestDecoder(t testing.TB) *Decoder {
	t.Helper()
	d, err := NewDecoder(testCatalogue().JSON())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestDecodeRoundTrip: what is decoded is what was stored, bit by bit, but for the order within an object and the stamp that is not sent.
func TestDecodeRoundTrip(t *testing.T) {
	d := newTestDecoder(t)
	rapid.Check(t, func(t *rapid.T) {
		b := drawBlock(t)
		m, err := ParseMessage(AppendBlock(nil, testSelf, b))
		if err != nil {
			t.Fatal(err)
		}
		got, err := d.Readings(nil, m)
		if err != nil {
			t.Fatal(err)
		}
		seen, err := d.Seen(m)
		if err != nil || !slices.Equal(seen, b.Seen) {
			t.Fatalf("seen %v (%v), want %v", seen, err, b.Seen)
		}
		var want []drivers.Reading
		rest := b.Readings
		for split := newSplitter(rest); len(rest) > 0; {
			n := split.next(rest)
			object := slices.Clone(rest[:n])
			slices.SortFunc(object, func(a, b drivers.Reading) int { return cmp.Compare(a.Tag.Index, b.Tag.Index) })
			want, rest = append(want, object...), rest[n:]
		}
		if len(got) != len(want) {
			t.Fatalf("%d readings, want %d", len(got), len(want))
		}
		for i := range got {
			g, w := got[i], want[i]
			if g.Tag.String() != w.Tag.String() || g.Value != w.Value || g.Quality != w.Quality || g.Cause != w.Cause || g.Time != w.Time {
				t.Fatalf("%d: %+v, want %+v", i, g, w)
			}
		}
	})
}

func TestDecodeRefuses(t *testing.T) {
	d := newTestDecoder(t)
	const head = `{"v":1,"stream":"readings","epoch":"e","seq":7,"readings":[{"device":"meter-1","t":1,`
	tests := []struct{ name, object, want string }{
		{"a tag that is not in the catalogue", `"values":{"moon":1}}]}`, "no tag meter-1/moon"},
		{"nor bad", `"bad":{"moon":"timeout"}}]}`, "no tag meter-1/moon"},
		{"a fraction for an integer", `"values":{"strokes":1.5}}]}`, "meter-1/strokes is 1.5, which is no int64"},
		{"a negative number for an unsigned one", `"values":{"total":-1}}]}`, "no uint64"},
		{"a number for a bool", `"values":{"up":1}}]}`, "no bool"},
		{"a word for a number", `"values":{"energy_import":"12.5"}}]}`, "no float64"},
		{"a number beyond its type", `"values":{"voltage_a":1e39}}]}`, "no float32"},
		{"a number for text", `"values":{"program":1}}]}`, "no text"},
		{"good and bad at once", `"values":{"strokes":1},"bad":{"strokes":"timeout"}}]}`, "has a value and is bad"},
		{"a long integer as a string", `"values":{"strokes":"9223372036854775807"}}]}`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := ParseMessage([]byte(head + tt.object))
			if err != nil {
				t.Fatal(err)
			}
			_, err = d.Readings(nil, m)
			if (tt.want == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
	if _, err := NewDecoder([]byte(`{"devices":[{"id":"a","tags":[{"name":"x","kind":"moon","type":"bool"}]}]}`)); err == nil {
		t.Error("a kind that is not known is taken")
	}
}

// FuzzDecode: no message and no catalogue ends the program, and what is taken is published again in the same words.
func FuzzDecode(f *testing.F) {
	f.Add(testCatalogue().JSON(), AppendBlock(nil, testSelf, typicalBlock())[:2000])
	f.Add(testCatalogue().JSON(), []byte(`{"v":1,"stream":"readings","epoch":"e","seq":1,"readings":[{"device":"meter-1","t":1,"values":{"up":true,"program":"P1","total":3},"bad":{"voltage_a":"timeout"}}],"seen":{"press-7":5}}`))
	f.Fuzz(func(t *testing.T, catalogue, payload []byte) {
		d, err := NewDecoder(catalogue)
		if err != nil {
			return
		}
		m, err := ParseMessage(payload)
		if err != nil {
			return
		}
		readings, err := d.Readings(nil, m)
		if err != nil {
			return
		}
		again, err := ParseMessage(AppendBlock(nil, testSelf, &buffer.Block{Epoch: m.Epoch, Stream: buffer.Readings, Seq: m.Seq, Catalogue: m.Catalogue, Readings: readings}))
		if err != nil {
			t.Fatal(err)
		}
		second, err := d.Readings(nil, again)
		if err != nil || len(second) != len(readings) {
			t.Fatalf("%v: %d readings of %d", err, len(second), len(readings))
		}
	})
}
