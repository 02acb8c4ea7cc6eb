package modbus

import "time"

type trace struct{}

func newTrace() *trace { return &trace{} }

func (t *trace) add(at time.Time, sent bool, frame []byte) {}
