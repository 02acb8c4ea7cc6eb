//go:build !linux

package opcua

import (
	"os"
	"os/exec"
)

func selfPath(path string) string { return path }

func adopt(*exec.Cmd) {}

func killGroup(p *os.Process) { _ = p.Kill() }

func limitData(int, uint64) error { return nil }

func residentBytes(int) uint64 { return 0 }
