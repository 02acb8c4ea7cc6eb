package uplink

import (
	"encoding/json"
	"strconv"

	"github.com/millgate/millgate/buffer"
	"github.com/millgate/millgate/drivers"
)

// AppendBlock appends the message of b, whatever its stream.
func AppendBlock(dst []byte, self Self, b *buffer.Block) []byte {
	switch b.Stream {
	case buffer.Events:
		return AppendEvents(dst, self, b)
	case buffer.KPIs:
		return AppendReport(dst, self, b)
	case buffer.Readings:
	}
	return AppendReadings(dst, self, b)
}

// AppendReadings appends the message of a block of readings. Consecutive readings of one device and time share an object, in which
// no tag stands twice. A reading without a value is published as bad, whatever its quality says.
func AppendReadings(dst []byte, self Self, b *buffer.Block) []byte {
	dst = appendHead(dst, self, b)
	dst = append(dst, `,"catalogue":`...)
	dst = appendString(dst, b.Catalogue)
	if b.Started != 0 {
		dst = append(dst, `,"started":`...)
		dst = strconv.AppendInt(dst, b.Started, 10)
	}
	dst = append(dst, `,"readings":[`...)
	split := newSplitter(b.Readings)
	for rest := b.Readings; len(rest) > 0; {
		n := split.next(rest)
		if len(rest) < len(b.Readings) {
			dst = append(dst, ',')
		}
		dst = appendObject(dst, rest[:n])
		rest = rest[n:]
	}
	dst = append(dst, ']')
	dst = appendSeen(dst, b.Seen)
	return append(dst, '}')
}

// AppendReport appends the message of a block of the stream kpis: a report, or a part of one.
func AppendReport(dst []byte, self Self, b *buffer.Block) []byte {
	dst = appendHead(dst, self, b)
	dst = append(dst, `,"catalogue":`...)
	dst = appendString(dst, b.Catalogue)
	dst = append(dst, ',')
	return append(dst, marshal(b.Report)[1:]...) // its members are the message's
}

// AppendEvents appends the message of a block of events.
func AppendEvents(dst []byte, self Self, b *buffer.Block) []byte {
	dst = appendHead(dst, self, b)
	dst = append(dst, `,"events":[`...)
	for i := range b.Events {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, eventJSON(b.Events[i])...)
	}
	return append(dst, "]}"...)
}

// eventJSON leaves out Fields that are no JSON object: a subscriber can read the rest.
func eventJSON(e drivers.Event) []byte {
	if len(e.Fields) > 0 && (e.Fields[0] != '{' || !json.Valid(e.Fields)) {
		e.Fields = nil
	}
	return marshal(e)
}

func appendHead(dst []byte, self Self, b *buffer.Block) []byte {
	dst = append(dst, `{"v":1,"stream":`...)
	dst = appendString(dst, string(b.Stream))
	dst = append(dst, `,"site":`...)
	dst = appendString(dst, self.Site)
	dst = append(dst, `,"gateway":`...)
	dst = appendString(dst, self.Gateway)
	dst = append(dst, `,"epoch":`...)
	dst = appendString(dst, b.Epoch)
	dst = append(dst, `,"seq":`...)
	return strconv.AppendUint(dst, b.Seq, 10)
}

func appendSeen(dst []byte, seen []buffer.Seen) []byte {
	for i := range seen {
		dst = appendMember(dst, `,"seen":{`, i, seen[i].Device)
		dst = strconv.AppendInt(dst, seen[i].Time, 10)
	}
	return appendClose(dst, len(seen))
}

// appendObject appends the readings of one device at one time; there is at least one.
func appendObject(dst []byte, readings []drivers.Reading) []byte {
	dst = append(dst, `{"device":`...)
	dst = appendString(dst, readings[0].Tag.Device)
	dst = append(dst, `,"t":`...)
	dst = strconv.AppendInt(dst, readings[0].Time, 10)
	values, uncertain := 0, 0
	for i := range readings {
		r := &readings[i]
		if isBad(r) {
			continue
		}
		if r.Quality == drivers.Uncertain {
			uncertain++
		}
		dst = appendMember(dst, `,"values":{`, values, r.Tag.Name)
		dst = r.Value.AppendJSON(dst)
		values++
	}
	dst = appendClose(dst, values)
	if values < len(readings) {
		dst = appendCauses(dst, `,"bad":{`, readings, isBad)
	}
	if uncertain > 0 {
		dst = appendCauses(dst, `,"uncertain":{`, readings, isUncertain)
	}
	return append(dst, '}')
}

func isBad(r *drivers.Reading) bool { return r.Quality == drivers.Bad || r.Value.IsZero() }

func isUncertain(r *drivers.Reading) bool { return r.Quality == drivers.Uncertain && !r.Value.IsZero() }

// appendCauses appends the causes of the readings that are so.
func appendCauses(dst []byte, open string, readings []drivers.Reading, are func(*drivers.Reading) bool) []byte {
	n := 0
	for i := range readings {
		r := &readings[i]
		if !are(r) {
			continue
		}
		cause := r.Cause
		if cause == "" {
			cause = drivers.CauseInternal // whoever made the reading owed a cause
		}
		dst = appendMember(dst, open, n, r.Tag.Name)
		dst = appendString(dst, string(cause))
		n++
	}
	return appendClose(dst, n)
}

// appendMember appends what stands before the nth member's value: the first opens the object.
func appendMember(dst []byte, open string, n int, name string) []byte {
	if n == 0 {
		dst = append(dst, open...)
	} else {
		dst = append(dst, ',')
	}
	dst = appendString(dst, name)
	return append(dst, ':')
}

// appendClose closes an object of n members, which was opened if there are any.
func appendClose(dst []byte, n int) []byte {
	if n == 0 {
		return dst
	}
	return append(dst, '}')
}

// appendString appends s as JSON, by the rules of encoding/json.
func appendString(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			return append(dst, marshal(s)...)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}

// splitter finds the objects of a block.
type splitter struct {
	object int
	last   []int // by Tag.Index: the object that last held the tag, from 1
}

func newSplitter(readings []drivers.Reading) *splitter {
	top := -1
	for i := range readings {
		top = max(top, readings[i].Tag.Index)
	}
	return &splitter{last: make([]int, top+1)}
}

// next is how many of the readings, at least one, make the next object.
func (s *splitter) next(readings []drivers.Reading) int {
	s.object++
	first := &readings[0]
	for i := range readings {
		r := &readings[i]
		if r.Time != first.Time || r.Tag.Device != first.Tag.Device || s.last[r.Tag.Index] == s.object {
			return i
		}
		s.last[r.Tag.Index] = s.object
	}
	return len(readings)
}
