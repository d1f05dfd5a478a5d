package gitrepo

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/slipway-cd/slipway/shared/gitrepo/gitrepotest"
)

// bigRepository has 10,000 files in 1,000 folders.
func bigRepository(t testing.TB) *gitrepotest.Work {
	t.Helper()
	files := map[string]string{}
	for i := range 10_000 {
		files[fmt.Sprintf("apps/app-%d/%d.yaml", i/10, i%10)] = fmt.Sprintf("kind: Deployment\nname: app-%d\nimage: ghcr.io/acme/web:1.%d\n", i/10, i)
	}
	return gitrepotest.Start(t, nil).Create("acme/config.git", files)
}

func openBig(t testing.TB, url string) (*Mirror, *Commit) {
	t.Helper()
	m, err := Open(t.Context(), Options{URL: url, Branch: "main", Dir: filepath.Join(t.TempDir(), "m")})
	if err != nil {
		t.Fatal(err)
	}
	head, err := m.Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return m, head
}

func oneFile(i int) Change {
	return Change{
		Message: "web: 1.4.2\n", Name: "Slipway", Email: "s@example.com", When: time.Unix(1_700_000_000, 0),
		Files: map[string][]byte{"apps/app-77/7.yaml": fmt.Appendf(nil, "image: ghcr.io/acme/web:2.%d\n", i)},
	}
}

// The promise is 30 ms and 128 MiB for a commit in a repository of 10,000
// files. The best of some tries counts: this machine may be busy.
func TestACommitIsCheapInABigRepository(t *testing.T) {
	const url = "SLIPWAY_TEST_BIG_REPOSITORY"
	if at := os.Getenv(url); at != "" { // in a process of its own, whose memory is ours alone
		m, head := openBig(t, at)
		best := time.Hour
		for i := range 20 {
			begin := time.Now()
			if _, _, err := m.commit(head, oneFile(i)); err != nil {
				t.Fatal(err)
			}
			best = min(best, time.Since(begin))
		}
		if _, err := m.Push(t.Context(), head, oneFile(0)); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("cost: %d %d\n", best.Microseconds(), peak(t))
		return
	}
	w := bigRepository(t)
	child := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$")
	child.Env = append(os.Environ(), url+"="+w.URL)
	out, err := child.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	_, line, _ := strings.Cut(string(out), "cost: ")
	var micros, kib int
	if _, err := fmt.Sscan(line, &micros, &kib); err != nil {
		t.Fatalf("%v in\n%s", err, out)
	}
	t.Logf("a commit took %d µs, and the process %d KiB at its peak", micros, kib)
	if limit := 30_000; micros > limit && !raceDetector {
		t.Errorf("a commit took %d µs before its push, want at most %d", micros, limit)
	}
	if limit := 128 << 10; kib > limit && !raceDetector {
		t.Errorf("the process took %d KiB, want at most %d", kib, limit)
	}
}

// peak is the most memory that this process had, in KiB.
func peak(t *testing.T) int {
	t.Helper()
	f, err := os.Open("/proc/self/status")
	if err != nil {
		t.Skipf("this system doesn't tell the memory of a process: %v", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), "VmHWM:"); ok {
			kib, err := strconv.Atoi(strings.Fields(value)[0])
			if err != nil {
				t.Fatal(err)
			}
			return kib
		}
	}
	t.Fatal("no VmHWM in /proc/self/status")
	return 0
}

func BenchmarkCommitOneFileOf10000(b *testing.B) {
	m, head := openBig(b, bigRepository(b).URL)
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		i++
		if _, _, err := m.commit(head, oneFile(i)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFirstFetchOf10000(b *testing.B) {
	w := bigRepository(b)
	b.ReportAllocs()
	for b.Loop() {
		openBig(b, w.URL)
	}
}
