package configs

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// secret is where a secret is kept. The zero secret is none.
type secret struct{ file, env string }

// secretFields are the keys that say where a password is kept.
func (s *site) secretFields(into *secret) []field {
	return []field{
		may("password_file", s.path(&into.file)),
		may("password_env", s.text(&into.env)),
		field{key: "password", hidden: true, read: func(n ast.Node) {
			s.at(n, "a password does not belong into this file, which is copied and mailed: put it into a file of its own and name that with password_file, or an environment variable with password_env")
		}},
	}
}

func (c secret) twice() bool { return c.file != "" && c.env != "" }

// reader gives the secret when it is used; nil if there is none, or two.
func (c secret) reader() func() (string, error) {
	switch {
	case c.twice():
	case c.file != "":
		return func() (string, error) {
			text, err := ReadSecret(c.file)
			if err != nil {
				err = fmt.Errorf("password_file: %w", err)
			}
			return text, err
		}
	case c.env != "":
		return func() (string, error) { return envSecret(c.env) }
	}
	return nil
}

// ReadSecret reads a secret from a file that only its owner and group may read.
func ReadSecret(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // only read
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o007 != 0 {
		return "", fmt.Errorf("%s may be read by every user of this machine: chmod 600 %s", file, file)
	}
	text, err := io.ReadAll(f)
	return strings.TrimRight(string(text), "\r\n"), err
}

func envSecret(name string) (string, error) {
	text, ok := os.LookupEnv(name)
	if !ok {
		return "", fmt.Errorf("password_env: the environment variable %s is not set", name)
	}
	return text, nil
}
