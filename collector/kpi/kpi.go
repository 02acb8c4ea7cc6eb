// Package kpi computes what a factory's readings say: the time elements of its equipment, its energy, age and rates, for windows of local time.
//
// A Plan is the site's ledger and calendar and the catalogue of definitions made ready. An Engine takes stored blocks of readings: each
// subject (equipment, account) has a track, on which time moves from one moment at which anything changes to the next and what passes is
// added to a Tally; when a window ends, the formulas of its definitions make Results of the tally. A Follower drives an Engine, and goes back
// to a kept state when readings have come late.
//
// Invariants:
//  1. No clock, no input or output, no goroutine, no log: the same readings in the same order give the same result, byte for byte, whether
//     an engine was written into a state and restored between them or not. Time is what readings say: the horizon.
//  2. Window = unscheduled + planned stop + APT + AUST + ADET + ADOT + unknown in whole ms, and a window's tally is the sum of its parts'.
//  3. A tag holds its last reading while its device is up. Before the first reading, after a bad one, while the device is down, and from
//     when it was last heard before a gap of the blocks on, its value is unknown: nothing is guessed, and unknown time is never zero.
//  4. A counter's growth belongs to the moment of the reading that shows it, is never negative, and bridges gaps.
//  5. Once late readings have been taken in, results depend on the set of readings, not on the order of their arrival. A block is taken once.
//  6. A result has a value (or class) or the reason for none. No value is NaN, infinite or made without its inputs, and less coverage than its
//     definition asks for is a reason.
//  7. Figures of policy and standards come from the Catalogue; there are none in code.
//
// Is: counters, states, tallies, formulas and the follower. Is not: a store, a schedule of polls, a ledger of readings, a file format of
// sites or catalogues.
package kpi
