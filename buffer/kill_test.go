package buffer

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millgate/millgate/collector/kpi"
)

// followEnv says by what, and in which folder, a queue is followed: with it the test binary is a gateway that does nothing but compute KPIs,
// until it is killed.
const followEnv = "MILLGATE_TEST_FOLLOW"

func TestMain(m *testing.M) {
	if how, dir, ok := strings.Cut(os.Getenv(followEnv), ":"); ok {
		fmt.Println("ended:", Followed[how](dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func followTallying(dir string) error {
	q, err := Open(Config{Dir: dir, Uplinks: []string{testUplink}, CommitInterval: 10 * time.Millisecond}, testCatalogue(2, 4))
	if err != nil {
		return err
	}
	f := q.Follower(nil, filepath.Join(filepath.Dir(dir), "kpi"))
	f.restore = func(state []byte, past kpi.History) (computer, error) {
		c, err := newTally(state, past)
		if err == nil {
			c.(*tally).pause = time.Millisecond
		}
		return c, err
	}
	return followUntilKilled(q, f)
}

// followUntilKilled prints a line when it has begun and one when it has taken all blocks.
func followUntilKilled(q *Queue, f *Follower) error {
	last := q.Snapshot().Next[Readings] - 1
	fmt.Println("begun")
	ended := make(chan error)
	go func() { ended <- q.Run(context.Background()) }()
	go func() { ended <- f.Run(context.Background()) }()
	for f.Snapshot().Position.Readings < last {
		select {
		case err := <-ended:
			return err
		case <-time.After(time.Millisecond):
		}
	}
	q.mu.Lock()
	pos := q.pos
	q.mu.Unlock()
	if err := q.Await(context.Background(), pos); err != nil {
		return err
	}
	fmt.Println("all taken")
	return <-ended
}

// kills is how often a process is killed in the middle of its work.
const kills = 50

// TestKilledFollowerChangesNoReport kills a process again and again while it computes KPIs. In the end its queue has the same reports, byte by
// byte and under the same numbers, as one that was never disturbed.
func TestKilledFollowerChangesNoReport(t *testing.T) {
	r := kpiRig(t)
	r.shop(900, rand.New(rand.NewPCG(13, 14)))
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	before := filepath.Join(t.TempDir(), "queue")
	copyDir(t, before, r.cfg.Dir)
	r.open()
	r.follow(r.follower())
	want := r.reports()
	if len(want) < 200 {
		t.Fatalf("only %d reports", len(want))
	}
	disturb(t, "tally", before, func(dir string) {
		again := &rig{t: t, cfg: r.cfg, desc: r.desc}
		again.cfg.Dir = dir
		again.open()
		defer func() { _ = again.Close() }()
		again.balanced()
		sameReports(t, again.reports(), want)
	})
}

// disturb makes a process follow a copy of the queue, and kills it again and again until it has come to the end for all that; compare then looks
// at the queue. A process that is quick begins once more with another copy, until it was killed often enough.
func disturb(t *testing.T, how, queue string, compare func(dir string)) {
	t.Helper()
	const longest = 100 * time.Millisecond
	killed := 0
	for round := 1; killed < kills; round++ {
		if round > kills {
			t.Fatalf("killed %d times in %d rounds: the work is done too soon", killed, round)
		}
		dir := filepath.Join(t.TempDir(), "queue")
		copyDir(t, dir, queue)
		for done := false; !done; {
			after := rand.N(longest)
			if killed >= kills {
				after = 10 * time.Minute // it may come to its end
			}
			if done = followAndKill(t, how+":"+dir, after); !done {
				killed++
			}
		}
		compare(dir)
	}
}

func copyDir(t *testing.T, to, from string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

func sameReports(t *testing.T, got, want []string) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("report %d is %s\nundisturbed %s", i+1, got[i], want[i])
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d reports, undisturbed %d", len(got), len(want))
	}
}

// followAndKill runs a process on the queue and kills it some time after it has begun; done says that it had taken all blocks by then.
func followAndKill(t *testing.T, how string, after time.Duration) (done bool) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), followEnv+"="+how)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		switch {
		case strings.HasPrefix(lines.Text(), "begun"):
			time.AfterFunc(after, func() { _ = child.Process.Kill() })
		case strings.HasPrefix(lines.Text(), "all taken"):
			done = true
			_ = child.Process.Kill()
		default:
			t.Errorf("the process says %q", lines.Text())
		}
	}
	_ = child.Wait() // it was killed
	return done
}
