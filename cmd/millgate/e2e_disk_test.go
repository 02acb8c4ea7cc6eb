package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/millgate/millgate/buffer"
	"github.com/millgate/millgate/drivers"
)

// asRoot runs a command as root, or skips the test where that is not allowed.
func asRoot(t *testing.T, args ...string) ([]byte, error) {
	t.Helper()
	if os.Getuid() != 0 {
		if out, err := exec.Command("sudo", "-n", "true").CombinedOutput(); err != nil {
			t.Skipf("needs root, or sudo without a password, to mount a file system: %s", out)
		}
		args = append([]string{"sudo", "-n"}, args...)
	}
	return exec.Command(args[0], args[1:]...).CombinedOutput()
}

// mount makes a file system of the test's own, or skips the test where that is not allowed.
func mount(t *testing.T, args ...string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if out, err := asRoot(t, append(append([]string{"mount"}, args...), dir)...); err != nil {
		t.Skipf("mounting a file system is not allowed here: %s", out)
	}
	t.Cleanup(func() {
		if out, err := asRoot(t, "umount", dir); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	if out, err := asRoot(t, "chown", fmt.Sprint(os.Getuid()), dir); err != nil {
		t.Fatalf("chown: %v: %s", err, out)
	}
	return dir
}

// mountImage mounts an ext4 of its own.
func mountImage(t *testing.T) (dir string) {
	t.Helper()
	image := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 200<<20); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(peer(t, "mkfs.ext4"), "-q", "-F", image).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.ext4: %v\n%s", err, out)
	}
	return mount(t, "-o", "loop", image)
}

// testDurableBeforePublished freezes the file system, so that no commit can end: nothing may be published until it is released.
func testDurableBeforePublished(t *testing.T) {
	t.Parallel()
	disk := mountImage(t)
	b := newBroker(t)
	r := record(t, b)
	counter := newCounter(t)
	s := writeSite(t, filepath.Join(disk, "queue"), "commit_interval: 200ms", b.uplink(),
		counterDevice("counter", counter.Addr(), 200*time.Millisecond))
	gateway := s.run(t)
	eventually(t, 20*time.Second, "blocks arrive", func() bool { return r.count(buffer.Readings) > 5 })

	if out, err := asRoot(t, "fsfreeze", "-f", disk); err != nil {
		t.Fatalf("fsfreeze: %v: %s", err, out)
	}
	thaw := func() { _, _ = asRoot(t, "fsfreeze", "-u", disk) } // a second time fails, and may
	t.Cleanup(thaw)
	time.Sleep(time.Second) // what had been committed arrives
	arrived, asked := r.count(buffer.Readings), counter.Stats().Requests
	time.Sleep(6 * time.Second)
	if n := r.count(buffer.Readings) - arrived; n != 0 {
		t.Errorf("%d blocks were published while no commit could end", n)
	}
	if n := counter.Stats().Requests - asked; n < 20 {
		t.Errorf("%d requests in 6 s; the gateway should go on polling five times a second", n)
	}
	thaw()
	released := time.Now()
	eventually(t, 30*time.Second, "the rest arrives", func() bool { return r.newest() > released.UnixMilli() })

	stopCleanly(t, gateway)
	r.proveComplete(t, s.balance(t))
	r.proveLaw(t, "counter")
	r.proveEveryTick(t, "counter", 200*time.Millisecond)
}

// testDiskFull fills the disk while the broker is away: the gateway gives up the oldest blocks, says which, and goes on.
func testDiskFull(t *testing.T) {
	t.Parallel()
	disk := mount(t, "-t", "tmpfs", "-o", "size=10m", "tmpfs")
	b := newBroker(t)
	r := record(t, b)
	b.kill(t)
	s := writeSite(t, filepath.Join(disk, "queue"), "commit_interval: 100ms, max_size: 16MiB", b.uplink(), noise(t, 12, 10))
	gateway := s.run(t)
	eventually(t, 2*time.Minute, "the gateway says again and again what it gives up", func() bool {
		if !gateway.running() {
			t.Fatal("the gateway ended")
		}
		return gateway.log.lines("readings .*lost: the disk was full") >= 3
	})
	b.start(t)
	back := time.Now()
	eventually(t, 90*time.Second, "the backlog arrives", func() bool { return r.newest() > back.UnixMilli() })
	stopCleanly(t, gateway)

	snapshot := s.balance(t)
	r.settle(t, snapshot)
	evicted := map[string]map[uint64]bool{string(buffer.Readings): {}, string(buffer.Events): {}}
	for _, block := range r.blocks(buffer.Events) {
		for _, e := range block.Events {
			if e.Kind != drivers.EventEvicted || e.Ref == nil {
				continue
			}
			for seq := e.Ref.From; seq <= e.Ref.To; seq++ {
				evicted[e.Ref.Stream][seq] = true
			}
		}
	}
	for stream, next := range snapshot.Next {
		gaps := r.gaps(stream, next)
		var unexplained []uint64
		for _, seq := range gaps {
			if !evicted[string(stream)][seq] {
				unexplained = append(unexplained, seq)
			}
		}
		if len(unexplained) > 0 {
			t.Errorf("%s: no event says why these are missing: %v", stream, unexplained)
		}
		t.Logf("%s: %d of %d blocks missing, %d named by events", stream, len(gaps), next-1, len(evicted[string(stream)]))
	}
	u := snapshot.Ledger.Uplinks[0]
	lost := u.Evicted[drivers.CauseDisk] + u.Evicted[drivers.CauseSize]
	t.Logf("%d readings stored, %d acknowledged, %d evicted", u.Stored, u.Acknowledged, lost)
	if lost == 0 {
		t.Error("the ledger knows of no evicted reading")
	}
	arrived := uint64(0)
	for _, block := range r.blocks(buffer.Readings) {
		arrived += countReadings(block.Message)
	}
	if arrived != u.Acknowledged {
		t.Errorf("%d readings arrived; the ledger has %d acknowledged", arrived, u.Acknowledged)
	}
}
