//go:build !unix

package opcua

import (
	"io"
	"os"
)

// lockFile waits until this process alone has the file: other systems do not share a file that is open for writing.
func lockFile(path string) (io.Closer, error) { return os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) }

// syncDir has nothing to do: a rename is durable by itself.
func syncDir(string) error { return nil }
