package opcua_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millgate/millgate/drivers"
	"github.com/millgate/millgate/drivers/opcua"
)

// TestOneWorker: all groups of one endpoint share one worker, and their Reads do not wait for each other.
func TestOneWorker(t *testing.T) {
	w, _ := newWorkers(t)
	cfg := config(t, "a", "well")
	groups := []drivers.Driver{open(t, w, cfg)}
	for i := range 4 {
		cfg.Device, cfg.Polled, cfg.Interval = fmt.Sprint("b", i), i%2 == 0, time.Duration(i+1)*time.Second
		cfg.Server.Endpoint = "opc.tcp://FAKE/well/"
		groups = append(groups, open(t, w, cfg))
	}
	var all sync.WaitGroup
	for _, g := range groups {
		all.Go(func() {
			for range 50 {
				if got, err := read(t, g, 5*time.Second); err != nil || told(t, got, toldLife) != "1" {
					t.Errorf("%v %v", got, err)
				}
			}
		})
	}
	all.Wait()
	if n := len(children(t)); n != 1 {
		t.Errorf("%d processes", n)
	}
	s := w.Snapshot()
	if len(s) != 1 || s[0].State != opcua.Up || s[0].Items != 5 || s[0].Mode != opcua.SignAndEncrypt || s[0].PID == 0 || s[0].RSS < 1<<20 || s[0].Restarts != 0 {
		t.Errorf("snapshot %+v", s)
	}
	if _, ok := groups[1].(drivers.Committer); ok {
		t.Error("a polled group confirms")
	}
	if _, ok := groups[1].(drivers.Subscriber); ok {
		t.Error("a polled group subscribes")
	}
	for i, g := range groups {
		if n := len(children(t)); n != 1 {
			t.Errorf("%d processes after %d of %d groups were closed", n, i, len(groups))
		}
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	}
	if left := children(t); len(left) != 0 {
		t.Errorf("after the last group was closed: %v", left)
	}
}

// TestMembers: a group that comes or goes later has the worker replaced, which is nobody's failure.
func TestMembers(t *testing.T) {
	w, _ := newWorkers(t)
	cfg := config(t, "a", "well")
	a := open(t, w, cfg)
	mustRead(t, a)
	cfg.Device = "b"
	b := open(t, w, cfg)
	if got := mustRead(t, b); told(t, got, toldLife) != "2" || told(t, got, toldReason) != `""` {
		t.Errorf("the new group: %v", got)
	}
	if got := mustRead(t, a); told(t, got, toldLife) != "2" || told(t, got, toldReason) != `"gap"` || told(t, got, toldLast) != strconv.Itoa(fakeStamp+1) {
		t.Errorf("the old group: %v", got)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if got := mustRead(t, a); told(t, got, toldLife) != "3" {
		t.Errorf("after the other went: %v", got)
	}
	for _, e := range a.(drivers.Reporter).Events(nil) {
		if e.Kind == drivers.EventWorker {
			t.Errorf("event %+v", e)
		}
	}
}

func TestSettings(t *testing.T) {
	w, _ := newWorkers(t)
	cfg := config(t, "a", "well")
	open(t, w, cfg)
	cfg.Device, cfg.Server.Mode = "b", opcua.Sign
	if _, err := w.Driver(cfg); err == nil || !strings.Contains(err.Error(), "device b: opc.tcp://fake:4840/well is named twice with different settings") {
		t.Errorf("the error is %v", err)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if _, err := w.Driver(cfg); err == nil {
		t.Error("a driver of closed workers")
	}
}

func TestNoStart(t *testing.T) {
	w, _ := newWorkers(t)
	w.Command = []string{"/no/such/program"}
	cfg := config(t, "a", "well")
	d := open(t, w, cfg)
	if _, err := read(t, d, time.Second); err == nil || !strings.Contains(err.Error(), "/no/such/program") {
		t.Errorf("the error is %v", err)
	}
	if s := w.Snapshot()[0]; s.State != opcua.Down || !strings.Contains(s.Error, "/no/such/program") {
		t.Errorf("snapshot %+v", s)
	}
	cfg = config(t, "b", "other")
	cfg.Server.User = opcua.User{Name: "joe", Password: func() (string, error) { return "", errors.New("open joe.password: no such file") }}
	if _, err := read(t, open(t, w, cfg), time.Second); drivers.CauseOf(err) != drivers.CauseUserRefused || !strings.Contains(err.Error(), "joe.password") {
		t.Errorf("the error is %v", err)
	}
}

func TestPassword(t *testing.T) {
	t.Setenv("SOME_PASSWORD", "hunter2")
	w, log := newWorkers(t)
	cfg := config(t, "a", "well")
	cfg.Server.User = opcua.User{Name: "joe", Password: func() (string, error) { return "hunter2", nil }}
	d := open(t, w, cfg)
	if got := mustRead(t, d); told(t, got, toldPassword) != `"hunter2"` {
		t.Errorf("the worker was told %v", got)
	}
	pid := w.Snapshot()[0].PID
	for _, file := range []string{"cmdline", "environ"} {
		if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file)); err != nil || strings.Contains(string(b), "hunter2") {
			t.Errorf("%s: %q %v", file, b, err)
		}
	}
	if s := fmt.Sprintf("%+v %s", w.Snapshot(), log); strings.Contains(s, "hunter2") {
		t.Errorf("it is in %s", s)
	}
}

func TestAsk(t *testing.T) {
	w, _ := newWorkers(t)
	cfg := config(t, "a", "well")
	ask := func(what string, timeout time.Duration) (n int, err error) {
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		defer cancel()
		err = w.Ask(ctx, cfg.Server, opcua.Question{What: what, With: []byte(`"x"`)}, func(a opcua.Answer) {
			if n++; string(a.With) != `"x"` || a.Done != (n == 3) {
				t.Errorf("answer %d: %+v", n, a)
			}
		})
		return n, err
	}
	check := func(where string) {
		t.Helper()
		if n, err := ask("browse", 5*time.Second); n != 3 || err != nil {
			t.Errorf("%s: %d answers, %v", where, n, err)
		}
		if n, err := ask("refuse", 5*time.Second); n != 3 || drivers.CauseOf(err) != drivers.CauseUserRefused || err.Error() != "no" {
			t.Errorf("%s: %d answers, %v", where, n, err)
		}
		if n, err := ask("die", 5*time.Second); n != 0 || drivers.CauseOf(err) != drivers.CauseWorkerCrash || !strings.Contains(err.Error(), "panic: asked to") {
			t.Errorf("%s: %d answers, %v", where, n, err)
		}
		if n, err := ask("silence", 100*time.Millisecond); n != 0 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %d answers, %v", where, n, err)
		}
	}
	check("a worker of its own")
	for range 10 { // a question never comes before the setup
		if n, err := ask("browse", 5*time.Second); n != 3 || err != nil {
			t.Errorf("a new worker: %d answers, %v", n, err)
		}
	}
	if left := children(t); len(left) != 0 {
		t.Errorf("after Ask: %v", left)
	}
	d := open(t, w, cfg)
	lives := told(t, mustRead(t, d), toldLife)
	if _, err := ask("browse", 5*time.Second); err != nil || len(children(t)) != 1 {
		t.Errorf("with a running worker: %v, %d processes", err, len(children(t)))
	}
	if now := told(t, mustRead(t, d), toldLife); now != lives {
		t.Errorf("life %s became %s", lives, now)
	}
	done := make(chan error)
	cfg.Server.Mode = opcua.Sign // needs a worker of its own
	go func() {
		_, err := ask("silence", time.Minute)
		done <- err
	}()
	for len(children(t)) != 2 {
		time.Sleep(10 * time.Millisecond)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; err == nil {
		t.Error("Close left a question under way")
	}
}

// gatewayCommand is the argument with which the tests' program has a worker and waits.
const gatewayCommand = "gateway"

func gateway(dir string) {
	w := opcua.NewWorkers()
	d, err := w.Driver(opcua.Config{Device: "a", Server: opcua.Server{Endpoint: "opc.tcp://fake/well", Trust: dir}, Points: []opcua.Point{{Tag: &drivers.Tag{}}}})
	if err == nil {
		_, err = d.Read(context.Background(), nil)
	}
	fmt.Println(w.Snapshot()[0].PID, err)
	time.Sleep(time.Hour)
}

// TestOrphan: a worker does not outlive a gateway that is killed.
func TestOrphan(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, gatewayCommand, t.TempDir())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	pid, says, _ := strings.Cut(strings.TrimSpace(line), " ")
	worker, _ := strconv.Atoi(pid)
	if says != "<nil>" || worker == 0 || !alive(worker) {
		t.Errorf("the gateway says %q", line)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait()
	for begun := time.Now(); alive(worker); time.Sleep(10 * time.Millisecond) {
		if time.Since(begun) > 5*time.Second {
			t.Fatal("the worker is still there")
		}
	}
}

// alive is not true of a zombie that nobody has waited for yet.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}
