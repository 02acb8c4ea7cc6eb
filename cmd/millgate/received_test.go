package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/millgate/millgate/buffer"
	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/uplink"
)

// blockOf is the payload of a block of readings with one reading.
func blockOf(epoch string, seq uint64) []byte {
	return fmt.Appendf(nil, `{"v":1,"stream":"readings","site":"s","gateway":"g","epoch":%q,"seq":%d,"catalogue":"c","readings":[{"device":"d","t":1,"values":{"n":%d}}]}`,
		epoch, seq, seq)
}

func kinds(notices []notice) (out []string) {
	for _, n := range notices {
		out = append(out, n.Kind)
	}
	return out
}

func TestReceivedNotices(t *testing.T) {
	evicted := func(from, to uint64) []byte {
		text, err := json.Marshal(uplink.Message{V: 1, Stream: buffer.Events, Site: "s", Gateway: "g", Epoch: "E", Seq: 1, Events: []drivers.Event{{
			Kind: drivers.EventEvicted, Subject: "uplink/u", Cause: drivers.CauseSize, Count: 7, Ref: &drivers.BlockRange{Stream: "readings", From: from, To: to}}}})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	tests := []struct {
		name    string
		blocks  [][]byte
		want    []string // kinds of the notices of the last block
		missing uint64
	}{
		{"begins anywhere", [][]byte{blockOf("E", 17)}, nil, 0},
		{"counts up", [][]byte{blockOf("E", 1), blockOf("E", 2)}, nil, 0},
		{"gap", [][]byte{blockOf("E", 1), blockOf("E", 4)}, []string{noticeGap}, 2},
		{"late", [][]byte{blockOf("E", 1), blockOf("E", 4), blockOf("E", 2)}, []string{noticeLate}, 1},
		{"again", [][]byte{blockOf("E", 1), blockOf("E", 2), blockOf("E", 1)}, []string{noticeRepeated}, 0},
		{"late, and again", [][]byte{blockOf("E", 1), blockOf("E", 3), blockOf("E", 2), blockOf("E", 2)}, []string{noticeRepeated}, 0},
		{"again with other content", [][]byte{blockOf("E", 1), blockOf("E", 2), append(blockOf("E", 2), ' ')}, []string{noticeDiffers}, 0},
		{"before the first", [][]byte{blockOf("E", 5), blockOf("E", 4)}, []string{noticeLate}, 0},
		{"before the first, and again", [][]byte{blockOf("E", 5), blockOf("E", 4), blockOf("E", 4)}, []string{noticeRepeated}, 0},
		{"new epoch", [][]byte{blockOf("E", 5), blockOf("F", 9)}, []string{noticeEpoch}, 0},
		{"given up after the gap", [][]byte{blockOf("E", 1), blockOf("E", 5), evicted(2, 3)}, []string{noticeGivenUp}, 1},
		{"given up before the gap", [][]byte{blockOf("E", 1), evicted(2, 4), blockOf("E", 5)}, nil, 0},
		{"given up, and received", [][]byte{blockOf("E", 1), blockOf("E", 5), evicted(2, 4), blockOf("E", 3)}, []string{noticeLate}, 0},
		{"given up after it was received, and again", [][]byte{blockOf("E", 1), blockOf("E", 2), evicted(1, 2), blockOf("E", 2)}, []string{noticeRepeated}, 0},
		{"given up in advance, received, and again", [][]byte{blockOf("E", 1), evicted(2, 3), blockOf("E", 2), blockOf("E", 2)}, []string{noticeRepeated}, 0},
		{"the last number there is", [][]byte{blockOf("E", 1), blockOf("E", math.MaxUint64), blockOf("E", math.MaxUint64)}, []string{noticeRepeated}, math.MaxUint64 - 2},
		{"not a block", [][]byte{[]byte("{}")}, []string{noticeInvalid}, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newReceived()
			var got []notice
			for _, b := range test.blocks {
				_, got = r.take("millgate/v1/s/g/readings", b)
			}
			if fmt.Sprint(kinds(got)) != fmt.Sprint(test.want) || r.missing() != test.missing {
				t.Errorf("%v, %d missing; want %v, %d missing", got, r.missing(), test.want, test.missing)
			}
			if bad := r.missing() > 0 || r.faults > 0; bad == r.good() {
				t.Errorf("good is %v: %v", r.good(), r)
			}
		})
	}
}

func TestReceivedCatalogue(t *testing.T) {
	text := []byte(`{"v":1}`)
	sum := sha256.Sum256(text)
	topic := "millgate/v1/s/g/catalogue/" + hex.EncodeToString(sum[:16])
	for _, test := range []struct {
		topic   string
		payload string
		want    string
	}{
		{topic, string(text), "[]"},
		{topic, "", "[]"}, // cleared
		{topic, string(text) + " ", "[invalid]"},
		{"millgate/v1/s/g/catalogue/\x1b[2J", string(text), "[invalid]"},
		{"millgate/v1/s/g/status", "{}", "[]"},
	} {
		m, notices := newReceived().take(test.topic, []byte(test.payload))
		if fmt.Sprint(kinds(notices)) != test.want || m != nil || strings.Contains(fmt.Sprint(notices), "\x1b") {
			t.Errorf("%q %q: %v; want %s", test.topic, test.payload, notices, test.want)
		}
	}
}

// TestReceivedCounts: whatever is lost, repeated and late, each block counts once and exactly the lost ones are missing.
func TestReceivedCounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := rapid.Uint64Range(1, 1<<40).Draw(t, "first")
		order := rapid.SliceOfN(rapid.Uint64Range(max(first, 6)-5, first+40), 0, 80).Draw(t, "order")
		r := newReceived()
		seen, expected, highest := map[uint64]bool{}, uint64(0), first
		for _, seq := range append([]uint64{first}, order...) {
			m, _ := r.take("readings", blockOf("E", seq))
			if (m == nil) != seen[seq] {
				t.Fatalf("block %d: news %v, seen before %v", seq, m != nil, seen[seq])
			}
			if !seen[seq] && seq >= first {
				expected++
			}
			seen[seq] = true
			highest = max(highest, seq)
		}
		n := uint64(len(seen))
		if r.blocks != n || r.readings != n || r.missing() != highest-first+1-expected || r.repeated != uint64(len(order))+1-n || r.faults != 0 {
			t.Fatalf("%v; %d different blocks from %d to %d", r, n, first, highest)
		}
	})
}

// TestSpans compares the set with a map.
func TestSpans(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var set spans
		model := map[uint64]bool{}
		for range 30 {
			from := rapid.Uint64Range(0, 60).Draw(t, "from")
			s := span{from, from + rapid.Uint64Range(0, 9).Draw(t, "more")}
			added, taken := rapid.Bool().Draw(t, "add"), uint64(0)
			if added {
				set.add(s)
			} else {
				taken = set.remove(s).count()
			}
			for n := s.from; n <= s.to; n++ {
				if !added && model[n] {
					taken--
				}
				model[n] = added
			}
			if taken != 0 {
				t.Fatalf("remove %v: %d more or less than there was", s, taken)
			}
			count := uint64(0)
			for n, in := range model {
				if in {
					count++
				}
				if set.has(n) != in {
					t.Fatalf("%v has %d: %v", set, n, set.has(n))
				}
			}
			if set.count() != count {
				t.Fatalf("%v counts %d, not %d", set, set.count(), count)
			}
			for i := 1; i < len(set); i++ {
				if set[i-1].to+1 >= set[i].from {
					t.Fatalf("%v: spans touch", set)
				}
			}
		}
	})
}

// FuzzReceived: what a broker hands out may be anything.
func FuzzReceived(f *testing.F) {
	f.Add("millgate/v1/s/g/readings", blockOf("E", 1), blockOf("E", 9))
	f.Add("millgate/v1/s/g/catalogue/00", []byte("{}"), []byte(""))
	f.Add("x", blockOf("E", math.MaxUint64), blockOf("E", math.MaxUint64))
	f.Fuzz(func(t *testing.T, topic string, one, two []byte) {
		r := newReceived()
		for _, payload := range [][]byte{one, two, one} {
			m, notices := r.take(topic, payload)
			if m != nil {
				messageText(m)
			}
			for _, n := range notices {
				if n.Kind == "" || n.Text == "" || strings.ContainsAny(n.Text, "\x1b\n") {
					t.Fatalf("notice %+v", n)
				}
			}
		}
	})
}
