package worker

import "runtime/debug"

// softMemory is from when on the garbage collector works harder. What a worker may have at most is its supervisor's business.
const softMemory = 64 << 20

func limitMemory() {
	debug.SetMemoryLimit(softMemory)
	debug.SetGCPercent(25)
}
