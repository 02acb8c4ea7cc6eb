// Package kpi computes what a factory's readings say: pure functions of states and counters.
//
// Invariants:
//  1. No clock, no input or output, no goroutine, no log: the same readings in the same order give the same result.
//
// Is: counters and, built on them, indicators. Is not: a schedule, a store, a list of equipment.
package kpi

// CounterRule is what is known of how a counter counts.
type CounterRule struct {
	Modulus float64 // the value at which it begins again from 0, in the tag's unit; 0: not known
	MaxRate float64 // the most that it can count in a second, in the tag's unit; 0: not known
}
