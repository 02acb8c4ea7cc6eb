//go:build !race

package opcua

// DefaultMemoryLimit is how much data a worker may have, in bytes of address space, which the run-time takes in steps of 64 MiB: one with 10,000
// items has 150 MiB.
const DefaultMemoryLimit = 320 << 20
