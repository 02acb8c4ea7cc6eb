package worker

import (
	"fmt"
	"slices"
	"testing"

	"github.com/gopcua/opcua/ua"

	"github.com/millgate/millgate/drivers/opcua"
)

// strangeTypes are what a fuzzer shall go through: everything at once, types that contain themselves, and ones without bytes.
func strangeTypes() []*dataType {
	all := &dataType{structure: true}
	for id := ua.TypeID(1); id <= 25; id++ {
		all.fields = append(all.fields, field{name: fmt.Sprintf("F%d", id), typ: &dataType{builtin: id}, rank: int32(id%3) - 1})
	}
	empty := &dataType{structure: true}
	self := &dataType{structure: true}
	self.fields = []field{{name: "A", typ: self, rank: -1}, {name: "B", typ: self, rank: -1}}
	tree := &dataType{structure: true, shape: shapeOptional}
	tree.fields = []field{{name: "A", typ: tree, rank: 1, optional: true}, {name: "B", typ: all, rank: -1, optional: true},
		{name: "C", typ: empty, rank: 2}, {name: "D", typ: tree, rank: -1, optional: true, subtyped: true}}
	union := &dataType{structure: true, shape: shapeUnion, fields: []field{{name: "A", typ: tree, rank: -1}, {name: "B", typ: &dataType{unknown: true}, rank: -1},
		{name: "C", typ: &dataType{builtin: ua.TypeIDVariant}, rank: -1}}}
	return []*dataType{all, empty, self, tree, union}
}

func FuzzDecodeStructure(f *testing.F) {
	types := strangeTypes()
	f.Add(byte(0), []byte{1}, ".F1")
	f.Add(byte(3), []byte{1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, ".A[1].C")
	f.Add(byte(4), []byte{3, 0, 0, 0, 0xc6, 4, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0}, ".C[1,0]")
	f.Fuzz(func(t *testing.T, which byte, body []byte, path string) {
		steps, err := opcua.ParseSelect(path)
		if err != nil {
			return
		}
		before := slices.Clone(steps)
		lookup := func(id *ua.NodeID) *dataType { return types[int(id.IntID())%len(types)] }
		got, cause := decodeStructure(types[int(which)%len(types)], body, steps, lookup)
		if cause != "" && got != (raw{}) {
			t.Errorf("both a value %v and the cause %q", got, cause)
		}
		if !slices.Equal(before, steps) {
			t.Error("the steps were changed")
		}
	})
}
