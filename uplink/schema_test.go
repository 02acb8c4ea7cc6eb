package uplink

import (
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"github.com/millgate/millgate/buffer"
	"github.com/millgate/millgate/drivers"
)

func schemaOf(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile("../docs/schema/" + name + ".schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func validate(s *jsonschema.Schema, payload []byte) error {
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(payload)))
	if err != nil {
		return err
	}
	return s.Validate(doc)
}

func TestMessagesFollowTheirSchemas(t *testing.T) {
	readings, events := schemaOf(t, "readings"), schemaOf(t, "events")
	rapid.Check(t, func(t *rapid.T) {
		if err := validate(readings, AppendBlock(nil, testSelf, drawBlock(t))); err != nil {
			t.Fatal(err)
		}
		if err := validate(events, AppendBlock(nil, testSelf, drawEvents(t))); err != nil {
			t.Fatal(err)
		}
	})
	for _, c := range drivers.Causes() {
		b := &buffer.Block{Epoch: testEpoch, Stream: buffer.Readings, Seq: 1, Catalogue: testCatalogue().Hash(),
			Readings: []drivers.Reading{drivers.BadReading(testTags()[0], c.Cause, 1)}}
		if err := validate(readings, AppendBlock(nil, testSelf, b)); err != nil {
			t.Errorf("cause %s: %v", c.Cause, err)
		}
	}
	if err := validate(schemaOf(t, "catalogue"), testCatalogue().JSON()); err != nil {
		t.Error(err)
	}
}

func TestStatusFollowsItsSchema(t *testing.T) {
	s, q := schemaOf(t, "status"), newFakeQueue(0)
	u := testUplink(q, &logBook{}, "tcp://b")
	check := func(payload []byte) {
		t.Helper()
		if err := validate(s, payload); err != nil {
			t.Errorf("%s: %v", payload, err)
		}
	}
	check(will(testEpoch))
	check(marshal(u.status(stateOnline, testEpoch)))
	check(marshal(u.status(stateOffline, testEpoch)))
	q.snap.Previous = &buffer.PreviousEpoch{Epoch: testEpoch, Last: map[buffer.Stream]uint64{buffer.Readings: 9911}}
	u.self.Clock = func() ClockStatus { return ClockStatus{State: "unsynced", Offset: -4000} }
	check(marshal(u.status(stateOnline, testEpoch)))
}

// TestSchemasReject changes one thing at a time in a message that is right.
func TestSchemasReject(t *testing.T) {
	const ulid, hash = "01J8XGJ6M7B3N2K5Q4R9T0V1W8", "9f2c00112233445566778899aabbccdd"
	const identity = `"site":"s-1","gateway":"gw-01","epoch":"` + ulid + `","seq":7,`
	right := map[string]string{
		"readings": `{"v":1,"stream":"readings",` + identity + `"catalogue":"` + hash + `","readings":[{"device":"d","t":1,"values":{"a":1,"b":true,"c":"x"},"bad":{"e":"timeout"},"uncertain":{"a":"source_time"}}],"seen":{"z":5}}`,
		"events":   `{"v":1,"stream":"events",` + identity + `"events":[{"t":1,"kind":"evicted","severity":"error","subject":"queue","cause":"size","ref":{"stream":"readings","from":1,"to":2},"count":3,"text":{"zh":"","en":""},"fields":{}}]}`,
		"catalogue": `{"v":1,"site":"s-1","gateway":"gw-01","timezone":"UTC","devices":[{"id":"d","protocol":"modbus","tags":[{"name":"up","kind":"state","type":"bool"},` +
			`{"name":"a","unit":"V","kind":"gauge","type":"float32","interval_ms":1000,"deadband":0.5,"max_silence_ms":60000}]}]}`,
		"status": `{"v":1,"state":"online","session":"` + ulid + `","t":1,"version":"1","catalogue":"` + hash + `","epoch":"` + ulid + `","previous":{"epoch":"` + ulid + `","last":{"readings":9}},` +
			`"next":{"readings":8,"events":7},"pending":{"blocks":3,"oldest_t":5},"clock":{"state":"synced","offset_ms":3},"ledger":{"balanced":true}}`,
	}
	breaks := map[string][][2]string{ // what to replace → by what
		"readings": {
			{`"v":1`, `"v":2`}, {`"v":1,`, ``}, {`"stream":"readings"`, `"stream":"events"`}, {`"site":"s-1",`, ``}, {`"s-1"`, `"s/1"`}, {`"gateway":"gw-01",`, ``},
			{`"epoch":"` + ulid + `",`, ``}, {ulid, "01j8"}, {`"seq":7`, `"seq":0`}, {`"seq":7`, `"seq":-7`}, {`"seq":7`, `"seq":"7"`}, {`"seq":7`, `"seq":7.5`}, {`"seq":7,`, ``},
			{hash, hash[1:]}, {hash, strings.ToUpper(hash)}, {`"a":1,`, `"a":null,`}, {`"a":1,`, `"a":[1],`}, {`"a":1,`, `"a":{},`}, {`"t":1`, `"t":1.5`}, {`"t":1,`, ``}, {`"t":1`, `"t":"1"`},
			{`"device":"d",`, ``}, {`"device":"d"`, `"device":""`}, {`{"e":"timeout"}`, `{}`}, {`"timeout"`, `"Timed out"`}, {`"timeout"`, `7`}, {`{"a":"source_time"}`, `{}`},
			{`{"a":1,"b":true,"c":"x"}`, `{}`}, {`"values":{"a":1,"b":true,"c":"x"},`, ``}, {`{"z":5}`, `{}`}, {`{"z":5}`, `{"z":null}`}, {`"readings":[`, `"readings":[null,`}, {`"readings":[`, `"readings":[{"device":"d","t":1},`},
		},
		"events": {
			{`"v":1`, `"v":"1"`}, {`"events",`, `"readings",`}, {`"seq":7`, `"seq":0`}, {`"t":1`, `"t":-1`}, {`"t":1,`, ``}, {`"kind":"evicted",`, ``}, {`"evicted"`, `"Evicted!"`}, {`"severity":"error"`, `"severity":"fatal"`},
			{`"subject":"queue",`, ``}, {`"subject":"queue"`, `"subject":""`}, {`"from":1,`, ``}, {`"to":2`, `"to":0`}, {`"count":3`, `"count":0`}, {`"count":3`, `"count":"3"`}, {`"zh":"",`, ``}, {`"en":""`, `"en":null`},
			{`"fields":{}`, `"fields":[]`}, {`"cause":"size"`, `"cause":null`}, {`"events":[`, `"events":[7,`},
		},
		"catalogue": {
			{`"v":1`, `"v":0`}, {`"site":"s-1",`, ``}, {`"timezone":"UTC",`, ``}, {`"id":"d",`, ``}, {`"protocol":"modbus",`, ``}, {`"name":"up"`, `"name":"down"`}, {`"type":"bool"`, `"type":"int64"`}, {`"kind":"gauge"`, `"kind":"meter"`},
			{`"kind":"gauge",`, ``}, {`"float32"`, `"float16"`}, {`"name":"a",`, ``}, {`"name":"a"`, `"name":""`}, {`1000`, `0`}, {`1000`, `"1s"`}, {`0.5`, `-0.5`}, {`60000`, `-1`}, {`"unit":"V"`, `"unit":null`}, {`"tags":[`, `"tags":[],"x":[`},
		},
		"status": {
			{`"v":1`, `"v":2`}, {`"online"`, `"sleeping"`}, {`"state":"online",`, ``}, {`"session":"` + ulid + `",`, ``}, {`"session":"` + ulid, `"session":"7`}, {`"t":1,`, ``}, {`"version":"1",`, ``}, {`"catalogue":"` + hash + `",`, ``},
			{`"events":7`, `"x":7`}, {`"readings":8`, `"readings":0`}, {`"blocks":3,`, ``}, {`"blocks":3`, `"blocks":-3`}, {`"oldest_t":5`, `"oldest_t":null`}, {`"synced"`, `"good"`}, {`"offset_ms":3`, `"offset_ms":0.3`},
			{`"balanced":true`, `"balanced":"yes"`}, {`"readings":9`, `"readings":"9"`}, {`"ledger":{`, `"ledgers":{`},
		},
	}
	for name, list := range breaks {
		s := schemaOf(t, name)
		if err := validate(s, []byte(right[name])); err != nil {
			t.Fatalf("%s: the right message is rejected: %v", name, err)
		}
		if err := validate(s, []byte(strings.Replace(right[name], `"v":1`, `"newer":[null],"v":1`, 1))); err != nil {
			t.Errorf("%s: a new member is rejected: %v", name, err)
		}
		for _, b := range list {
			broken := strings.Replace(right[name], b[0], b[1], 1)
			if broken == right[name] {
				t.Fatalf("%s: %q is not in the right message", name, b[0])
			}
			if validate(s, []byte(broken)) == nil {
				t.Errorf("%s: accepts %q in place of %q", name, b[1], b[0])
			}
		}
	}
}
