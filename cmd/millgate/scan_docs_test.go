package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	docFence = regexp.MustCompile("(?ms)^```.*?^```")
	docFlag  = regexp.MustCompile(`--[a-z]+(-[a-z]+)*`)
)

// TestCommissioningDocs: both languages show the same commands, flags and tables.
func TestCommissioningDocs(t *testing.T) {
	read := func(name string) string {
		text, err := os.ReadFile("../../docs/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	en, zh := read("commissioning.md"), read("commissioning.zh-CN.md")
	if a, b := docFence.FindAllString(en, -1), docFence.FindAllString(zh, -1); len(a) == 0 || !slices.Equal(a, b) {
		t.Errorf("the examples are %q and %q", a, b)
	}
	flags := docFlag.FindAllString(en, -1)
	for _, flag := range flags {
		name := strings.TrimPrefix(flag, "--")
		if probeCommand().Flags().Lookup(name) == nil && scanCommand().Flags().Lookup(name) == nil {
			t.Errorf("neither probe nor scan knows %s", flag)
		}
	}
	if a, b := slices.Sorted(slices.Values(flags)), slices.Sorted(slices.Values(docFlag.FindAllString(zh, -1))); !slices.Equal(a, b) {
		t.Errorf("the flags are %q and %q", a, b)
	}
	for _, mark := range []string{"\n#", "\n|", "\n- ", "http", "1. "} {
		if a, b := strings.Count(en, mark), strings.Count(zh, mark); a != b {
			t.Errorf("%q stands there %d and %d times", mark, a, b)
		}
	}
}
