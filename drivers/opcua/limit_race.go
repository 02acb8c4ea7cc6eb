//go:build race

package opcua

// DefaultMemoryLimit is none: the race detector's shadow memory is far beyond any.
const DefaultMemoryLimit = 0
