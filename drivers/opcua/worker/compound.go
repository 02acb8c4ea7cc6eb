package worker

import (
	"github.com/gopcua/opcua/ua"

	"github.com/millgate/millgate/drivers"
)

// compound reads a value of a built-in type that holds others (Part 6, 5.2.2).
func (c *cursor) compound(id ua.TypeID, p *picked) {
	switch id {
	case ua.TypeIDNodeID, ua.TypeIDExpandedNodeID:
		node, namespace := c.nodeID()
		switch {
		case p == nil || node == nil:
		case namespace != "":
			p.set(raw{form: words, text: nodeIDText(node, namespace)})
		default:
			p.set(raw{form: words, text: plainNodeID(node)})
		}
	case ua.TypeIDExtensionObject:
		c.extensionObject(p)
	case ua.TypeIDDataValue:
		c.dataValue(p)
	case ua.TypeIDVariant:
		c.variant(p)
	case ua.TypeIDDiagnosticInfo:
		p.refuse(drivers.CauseTypeMismatch)
		c.diagnosticInfo()
	default:
		c.fail()
	}
}

const (
	bodyNone   = 0
	bodyBinary = 1
	bodyXML    = 2
)

// extensionObject reads a structure that says its type itself. One that nobody knows is passed over by its length.
func (c *cursor) extensionObject(p *picked) {
	encoding, _ := c.nodeID()
	body := []byte(nil)
	switch c.uint(1) {
	case bodyNone:
		p.refuse(drivers.CauseNotAvailable)
		return
	case bodyXML:
		c.bytes()
		p.refuse(causeUnknownStruct)
		return
	case bodyBinary:
		body = c.bytes()
	default:
		c.fail()
	}
	if p == nil || c.bad {
		return
	}
	t := c.lookup(encoding)
	if t == nil || !t.structure {
		p.cause = causeUnknownStruct
		return
	}
	inner := &cursor{b: body, left: c.left, depth: c.depth, lookup: c.lookup}
	inner.structure(t, p)
	switch {
	case inner.strange:
		p.cause = causeUnknownStruct
	case inner.bad || len(inner.b) > 0:
		p.cause = drivers.CauseGarbled
	}
	c.left = inner.left
}

func (c *cursor) dataValue(p *picked) {
	const value, status, source, server, sourcePico, serverPico = 1, 2, 4, 8, 16, 32
	mask := c.uint(1)
	if mask&value != 0 {
		c.inVariant(p)
	} else {
		p.refuse(drivers.CauseNotAvailable)
	}
	if mask&status != 0 {
		if s := ua.StatusCode(c.uint(4)); s>>30 > 1 {
			p.refuse(statusCause(s))
		}
	}
	for _, part := range []struct {
		flag uint64
		size int
	}{{source, 8}, {sourcePico, 2}, {server, 8}, {serverPico, 2}} {
		if mask&part.flag != 0 {
			c.take(part.size)
		}
	}
}

func (c *cursor) inVariant(p *picked) {
	defer c.leave()
	if c.enter() {
		c.variant(p)
	}
}

// variant reads a value that says its built-in type itself. The dimensions of a matrix come after its values.
func (c *cursor) variant(p *picked) {
	const typeBits, matrix, array = 0x3f, 0x40, 0x80
	mask := c.uint(1)
	t := &dataType{builtin: ua.TypeID(mask & typeBits)}
	switch {
	case t.builtin == ua.TypeIDNull:
		p.set(raw{})
		return
	case mask&array == 0:
		c.value(t, p)
		return
	}
	if mask&matrix == 0 {
		c.list(t, p)
		return
	}
	begin := c.b
	c.list(t, nil)
	count := c.int32()
	if count < 0 || count > maxNesting {
		c.fail()
		return
	}
	var dimensions []int32
	for range count {
		dimensions = append(dimensions, c.int32())
	}
	if p == nil || c.bad {
		return
	}
	end := c.b
	c.b = begin[4 : len(begin)-len(end)] // once more, without the length before and with the dimensions behind
	c.array(t, dimensions, p)
	if c.bad = c.bad || len(c.b) != 4*(len(dimensions)+1); c.bad {
		c.fail()
		return
	}
	c.b = end
}

func (c *cursor) diagnosticInfo() {
	const symbolicID, namespace, text, locale, more, status, inner = 1, 2, 4, 8, 16, 32, 64
	mask := c.uint(1)
	for _, flag := range []uint64{symbolicID, namespace, locale, text} {
		if mask&flag != 0 {
			c.take(4)
		}
	}
	if mask&more != 0 {
		c.bytes()
	}
	if mask&status != 0 {
		c.take(4)
	}
	if mask&inner != 0 {
		if c.enter() {
			c.diagnosticInfo()
		}
		c.leave()
	}
}

const (
	ticksPerMilli = 10_000
	ticksTo1970   = 116_444_736_000_000_000 // from 1601
	ticksTo2185   = ticksTo1970 + 6_784_819_200_000*ticksPerMilli
)

// ofTicks is a DateTime, counted in 100 ns since 1601.
func ofTicks(n uint64) raw {
	if n < ticksTo1970 || n >= ticksTo2185 {
		return raw{}
	}
	return raw{form: moment, bits: (n - ticksTo1970) / ticksPerMilli}
}

// nodeID reads a NodeID, and what an ExpandedNodeId has beside it.
func (c *cursor) nodeID() (id *ua.NodeID, namespace string) {
	mask := byte(c.uint(1))
	switch ua.NodeIDType(mask & 0x0f) {
	case ua.NodeIDTypeTwoByte:
		id = ua.NewTwoByteNodeID(byte(c.uint(1)))
	case ua.NodeIDTypeFourByte:
		ns := uint16(c.uint(1))
		id = ua.NewNumericNodeID(ns, uint32(c.uint(2)))
	case ua.NodeIDTypeNumeric:
		ns := uint16(c.uint(2))
		id = ua.NewNumericNodeID(ns, uint32(c.uint(4)))
	case ua.NodeIDTypeString:
		ns := uint16(c.uint(2))
		id = ua.NewStringNodeID(ns, string(c.bytes()))
	case ua.NodeIDTypeByteString:
		ns := uint16(c.uint(2))
		id = ua.NewByteStringNodeID(ns, append([]byte(nil), c.bytes()...))
	case ua.NodeIDTypeGUID:
		ns := uint16(c.uint(2))
		g := new(ua.GUID)
		if b := c.take(16); b != nil {
			_, _ = g.Decode(b) // 16 bytes are a Guid
			id = ua.NewGUIDNodeID(ns, g.String())
		}
	default:
		c.fail()
	}
	if mask&0x80 != 0 {
		namespace = string(c.bytes())
	}
	if mask&0x40 != 0 {
		c.take(4)
	}
	if c.bad {
		return nil, ""
	}
	return id, namespace
}
