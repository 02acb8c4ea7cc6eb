package buffer

import (
	"testing"

	"github.com/millgate/millgate/drivers"
)

// BenchmarkTail is what a Follower's reading costs, without its computing: 100 devices with 100 tags each, committed once a second.
func BenchmarkTail(b *testing.B) {
	q, err := Open(Config{Dir: b.TempDir()}, testCatalogue(100, 94))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = q.Close() }()
	const seconds = 30
	n := 0
	for s := range seconds {
		var readings []drivers.Reading
		for i, tag := range q.cat.tags {
			r := drivers.Reading{Tag: tag, Time: shopTime + int64(s)*1000, Quality: drivers.Good, Value: drivers.Float64Value(float64(2200+(i+s)*7919%200) / 10)}
			switch tag.Type {
			case drivers.TypeFloat32:
				r.Value = drivers.Float32Value(float32(i+s) * 1.2345678)
			case drivers.TypeUint64:
				r.Value = drivers.UintValue(uint64(i*1001 + s))
			case drivers.TypeInt64:
				r.Value = drivers.IntValue(int64(i * s))
			case drivers.TypeBool:
				r.Value = drivers.BoolValue(true)
			case drivers.TypeText:
				r.Value = drivers.TextValue("O1234")
			case drivers.TypeNone, drivers.TypeFloat64:
			}
			readings = append(readings, r)
		}
		if _, err := q.Append(readings, nil, nil); err != nil {
			b.Fatal(err)
		}
		if err := q.flush(); err != nil {
			b.Fatal(err)
		}
		n += len(readings)
	}
	t, err := q.newTail()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		got := 0
		for seq := uint64(1); ; {
			batch, _, err := t.next(b.Context(), seq, 1<<64-1)
			if err != nil {
				b.Fatal(err)
			}
			if batch == nil {
				break
			}
			got += len(batch.Readings)
			seq = batch.Seq + 1
		}
		if got != n {
			b.Fatalf("read %d of %d readings", got, n)
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)/float64(n)*1e6, "s/Mreadings")
}
