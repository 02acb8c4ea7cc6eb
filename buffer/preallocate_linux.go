package buffer

import (
	"os"
	"syscall"
)

const keepSize = 1 // FALLOC_FL_KEEP_SIZE of linux/falloc.h

// preallocate asks the file system for a segment's space at once: later commits then journal an inode instead of an allocation.
// Where it can not (a full disk, a file system without it), the file grows as it is written.
func preallocate(f *os.File, size int64) {
	_ = syscall.Fallocate(int(f.Fd()), keepSize, 0, size)
}
