package buffer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/oklog/ulid/v2"

	"github.com/millgate/millgate/collector/kpi"
)

// What a KPI engine knows is kept in files: current.state, from which the next start goes on, and one for each production day, from which late
// readings are computed anew. A file is replaced whole or not at all. All numbers are little-endian.
//
//	 0  4  "MGK1"            the format
//	 4  4  CRC32C            of everything behind it
//	 8 16  epoch             ULID
//	24  8  readings          seq of the last block of readings in it
//	32  8  from              when its production day began, ms since 1970 UTC; of current.state 0
//	40     state             zstd
const (
	stateMagic   = "MGK1"
	stateHeader  = 40
	stateSuffix  = ".state"
	stateCurrent = "current"
	damagedFile  = ".damaged"
)

// savedState is what an engine knew. It goes to disk only when all reports before it are there: else a start from it would leave them out.
type savedState struct {
	name  string // production day, or stateCurrent
	at    kpi.Position
	from  int64
	state []byte // nil if it is on disk
	pos   uint64 // of AppendReports: what must be durable before
}

// states is the folder of states. It belongs to one goroutine.
type states struct {
	dir     string
	log     *slog.Logger
	codec   *codec
	days    []*savedState // by from
	current *savedState   // nil: there is none
}

// openStates finds the states there are, or makes the folder. Damaged files are set aside.
func openStates(dir string, log *slog.Logger) (*states, error) {
	codec, err := newCodec()
	if err != nil {
		return nil, err
	}
	s := &states{dir: dir, log: log, codec: codec}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	names, err := filepath.Glob(filepath.Join(dir, "*"+stateSuffix+"*"))
	if err != nil {
		return nil, err
	}
	for _, path := range names {
		name, whole := strings.CutSuffix(filepath.Base(path), stateSuffix)
		switch {
		case strings.HasSuffix(path, damagedFile):
		case !whole:
			_ = os.Remove(path) // what a crash left of a file being written
		default:
			s.find(name)
		}
	}
	return s, nil
}

func (s *states) path(name string) string { return filepath.Join(s.dir, name+stateSuffix) }

func (s *states) find(name string) {
	st, _, err := s.read(name)
	if err != nil {
		s.setAside(name, err)
		return
	}
	s.put(st)
}

// put takes a state into the list, in place of the one of its name.
func (s *states) put(st *savedState) {
	if st.name == stateCurrent {
		s.current = st
		return
	}
	s.days = slices.DeleteFunc(s.days, func(d *savedState) bool { return d.name == st.name })
	i, _ := slices.BinarySearchFunc(s.days, st.from, func(d *savedState, from int64) int {
		if d.from <= from {
			return -1
		}
		return 1
	})
	s.days = slices.Insert(s.days, i, st)
}

// dayBefore is the newest state of a day that began at or before t; nil if there is none.
func (s *states) dayBefore(t int64) *savedState {
	for _, d := range slices.Backward(s.days) {
		if d.from <= t {
			return d
		}
	}
	return nil
}

// load is the state itself.
func (s *states) load(st *savedState) ([]byte, error) {
	if st.state != nil {
		return st.state, nil
	}
	_, state, err := s.read(st.name)
	return state, err
}

func (s *states) read(name string) (*savedState, []byte, error) {
	data, err := os.ReadFile(s.path(name))
	if err != nil {
		return nil, nil, err
	}
	if len(data) < stateHeader || string(data[:4]) != stateMagic {
		return nil, nil, fmt.Errorf("%w: it does not begin like a state", errDamaged)
	}
	if want, got := binary.LittleEndian.Uint32(data[4:]), crc32.Checksum(data[8:], castagnoli); want != got {
		return nil, nil, fmt.Errorf("%w: CRC32C is %08x, its header says %08x", errDamaged, got, want)
	}
	state, err := s.codec.inflate(data[stateHeader:])
	if err != nil {
		return nil, nil, err
	}
	epoch := ulid.ULID(data[8:24])
	at := kpi.Position{Epoch: epoch.String(), Readings: binary.LittleEndian.Uint64(data[24:])}
	return &savedState{name: name, at: at, from: int64(binary.LittleEndian.Uint64(data[32:]))}, state, nil
}

var dayName = regexp.MustCompile(`^[0-9]{4,6}-[0-9]{2}-[0-9]{2}$`)

// write puts a state on disk: after it returned nil it survives a power cut.
func (s *states) write(st *savedState) (err error) {
	defer wrap(&err, "write the KPI state %q", s.path(st.name))
	epoch, err := ulid.ParseStrict(st.at.Epoch)
	if err != nil {
		return err
	}
	data := append(make([]byte, 0, stateHeader+len(st.state)/4), stateMagic...)
	data = append(data, 0, 0, 0, 0)
	data = append(data, epoch[:]...)
	data = binary.LittleEndian.AppendUint64(data, st.at.Readings)
	data = binary.LittleEndian.AppendUint64(data, uint64(st.from))
	data = s.codec.enc.EncodeAll(st.state, data)
	binary.LittleEndian.PutUint32(data[4:], crc32.Checksum(data[8:], castagnoli))
	half := s.path(st.name) + ".new"
	if err := writeSynced(half, data); err != nil {
		return errors.Join(err, os.Remove(half))
	}
	if err := os.Rename(half, s.path(st.name)); err != nil {
		return err
	}
	st.state = nil
	return syncDir(s.dir)
}

func writeSynced(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// setAside takes a state that can not be used out of the way; one that was set aside before under the same name goes.
func (s *states) setAside(name string, why error) {
	s.log.Error("a KPI state can not be used; KPIs are computed anew from an older one", "file", s.path(name), "error", why)
	if err := os.Rename(s.path(name), s.path(name)+damagedFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.Error("set a KPI state aside", "file", s.path(name), "error", err)
	}
	s.forget(name)
}

func (s *states) forget(name string) {
	s.days = slices.DeleteFunc(s.days, func(d *savedState) bool { return d.name == name })
	if name == stateCurrent {
		s.current = nil
	}
}

// trim removes the states of days whose readings are no longer in the queue, which begins with the block oldest. The last one stays.
func (s *states) trim(oldest uint64) {
	for len(s.days) > 1 && s.days[0].at.Readings+1 < oldest {
		name := s.days[0].name
		if err := os.Remove(s.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.log.Error("remove an old KPI state", "file", s.path(name), "error", err)
		}
		s.forget(name)
	}
}
