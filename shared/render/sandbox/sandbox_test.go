package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	Serve(obey)
	goleak.VerifyTestMain(m)
}

var kept [][]byte

// obey is the function in the child.
func obey(request []byte, ask Ask) []byte {
	word, rest, _ := bytes.Cut(request, []byte(" "))
	switch string(word) {
	case "ask":
		var all []byte
		for word := range bytes.FieldsSeq(rest) {
			all = append(all, ask(word)...)
		}
		return all
	case "pid":
		return []byte(strconv.Itoa(os.Getpid()))
	case "env":
		return []byte(strings.Join(os.Environ(), "\n"))
	case "loop":
		for {
			runtime.KeepAlive(word)
		}
	case "memory":
		for {
			kept = append(kept, bytes.Repeat([]byte("x"), 8<<20))
		}
	case "keep":
		kept = append(kept, bytes.Repeat([]byte("x"), 100<<20))
	case "stack":
		return recurse(rest)
	case "panic":
		panic("on purpose")
	case "die":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "noise":
		fmt.Println("not an answer")
		return []byte("said")
	case "huge":
		return make([]byte, 20<<20)
	case "network":
		interfaces, _ := os.ReadFile("/proc/net/dev")
		return interfaces
	case "file":
		return []byte(fmt.Sprint(os.WriteFile(string(rest), []byte("x"), 0o600)))
	}
	return append([]byte("did "), request...)
}

func recurse(b []byte) []byte {
	if len(b) > 1<<40 {
		return b
	}
	return append(recurse(append(b, 'x'))[:1], 'y')
}

// roomy is enough for the race detector, too.
var roomy = Limits{Time: time.Minute, Memory: 700 << 20, Output: 16 << 20}

func call(t *testing.T, p *Pool, request string, limits Limits) (string, error) {
	t.Helper()
	answer, err := p.Call(t.Context(), []byte(request), nil, limits)
	return string(answer), err
}

func newPool(t *testing.T, size int) *Pool {
	t.Helper()
	p := New(size)
	t.Cleanup(p.Close)
	return p
}

func TestAChildIsUsedAgain(t *testing.T) {
	t.Parallel()
	p := newPool(t, 2)
	first, err := call(t, p, "pid", roomy)
	if err != nil {
		t.Fatal(err)
	}
	if first == strconv.Itoa(os.Getpid()) {
		t.Fatal("it ran in the parent")
	}
	for range 3 {
		if again, err := call(t, p, "pid", roomy); err != nil || again != first {
			t.Errorf("pid %s, %v, before %s", again, err, first)
		}
	}
	if _, err := call(t, p, "keep", roomy); err != nil {
		t.Fatal(err)
	}
	if other, err := call(t, p, "pid", roomy); err != nil || other == first {
		t.Errorf("a child that holds much memory is used again: %v", err)
	}
}

func TestEachLimitIsToldAndHarmsNoOther(t *testing.T) {
	t.Parallel()
	p := newPool(t, 8)
	short := roomy
	short.Time = 300 * time.Millisecond
	tight := roomy
	tight.Memory = 256 << 20
	tests := []struct {
		request string
		limits  Limits
		want    Limit
	}{
		{"loop", short, Time}, {"memory", tight, Memory}, {"stack", tight, Memory}, {"huge", roomy, Output}, {"die", roomy, Killed},
	}
	var all sync.WaitGroup
	for _, tt := range tests {
		for range 3 {
			all.Go(func() {
				_, err := p.Call(t.Context(), []byte(tt.request), nil, tt.limits)
				var limit *LimitError
				if !errors.As(err, &limit) || limit.Limit != tt.want || limit.Error() == "" {
					t.Errorf("%s: %v, want %s", tt.request, err, tt.want)
				}
			})
			all.Go(func() {
				if answer, err := p.Call(t.Context(), []byte("work"), nil, roomy); err != nil || string(answer) != "did work" {
					t.Errorf("beside %s: %q, %v", tt.request, answer, err)
				}
			})
		}
	}
	all.Wait()
}

func TestWhatAChildMeets(t *testing.T) {
	t.Parallel()
	p := newPool(t, 2)
	if _, err := call(t, p, "panic", roomy); err == nil || !strings.Contains(err.Error(), "on purpose") {
		t.Errorf("panic: %v", err)
	}
	if answer, err := call(t, p, "noise", roomy); err != nil || answer != "said" {
		t.Errorf("noise: %q, %v", answer, err)
	}
	env, err := call(t, p, "env", roomy)
	if err != nil || strings.Contains(env, "PATH=") || strings.Contains(env, "HOME=") {
		t.Errorf("environment %q, %v", env, err)
	}
	if runtime.GOOS == "linux" {
		if answer, err := call(t, p, "file "+t.TempDir()+"/x", roomy); err == nil && answer == "<nil>" {
			t.Error("the child can write a file")
		}
	}
}

func TestAChildHasNoNetwork(t *testing.T) {
	t.Parallel()
	p := newPool(t, 1)
	answer, err := call(t, p, "network", roomy)
	if err != nil {
		t.Fatal(err)
	}
	if noNamespaces.Load() || runtime.GOOS != "linux" {
		t.Skip("this machine allows no namespaces: the child only has a program that asks for no network")
	}
	for line := range strings.Lines(answer) {
		name, _, found := strings.Cut(strings.TrimSpace(line), ":")
		if found && name != "lo" {
			t.Errorf("it has the interface %q", name)
		}
	}
}

func TestAChildThatIsKilledWhileItWaitsIsReplaced(t *testing.T) {
	t.Parallel()
	p := newPool(t, 1)
	for range 3 {
		pid, err := call(t, p, "pid", roomy)
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.Atoi(pid)
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(n, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if answer, err := call(t, p, "work", roomy); err != nil || answer != "did work" {
			t.Errorf("after the kill: %q, %v", answer, err)
		}
	}
}

func TestWhatLoopsHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	p := newPool(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	looping := make(chan error)
	go func() {
		_, err := p.Call(ctx, []byte("loop"), nil, Limits{Time: time.Hour, Memory: roomy.Memory, Output: roomy.Output})
		looping <- err
	}()
	for len(p.slots) == 0 {
		runtime.Gosched()
	}
	for range 3 {
		if answer, err := call(t, p, "work", roomy); err != nil || answer != "did work" {
			t.Errorf("beside a loop: %q, %v", answer, err)
		}
	}
	cancel()
	if err := <-looping; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if len(p.slots)+len(p.slow) != 0 {
		t.Errorf("%d and %d slots are taken", len(p.slots), len(p.slow))
	}
}

func TestAChildAsks(t *testing.T) {
	t.Parallel()
	p := newPool(t, 1)
	for _, words := range []string{"", "a", "a b c"} {
		answer, err := p.Call(t.Context(), []byte("ask "+words), bytes.ToUpper, roomy)
		if want := strings.ToUpper(strings.ReplaceAll(words, " ", "")); err != nil || string(answer) != want {
			t.Errorf("asked %q: %q, %v", words, answer, err)
		}
	}
	if _, err := call(t, p, "ask a", roomy); err == nil {
		t.Error("a question without somebody who answers has an answer")
	}
	if answer, err := call(t, p, "work", roomy); err != nil || answer != "did work" {
		t.Errorf("after it: %q, %v", answer, err)
	}
}

func TestACallEndsWithItsContext(t *testing.T) {
	t.Parallel()
	p := newPool(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := p.Call(ctx, []byte("loop"), nil, roomy)
		done <- err
	}()
	second, stop := context.WithCancel(t.Context())
	go func() {
		_, err := p.Call(second, []byte("loop"), nil, roomy)
		done <- err
	}()
	stop()
	cancel()
	for range 2 {
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	}
	if answer, err := call(t, p, "work", roomy); err != nil || answer != "did work" {
		t.Errorf("after it: %q, %v", answer, err)
	}
}

func TestARequestAndAnAnswerArriveAsTheyWere(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 1 << 20, 5<<20 + 3} {
		data := bytes.Repeat([]byte("ab\x00"), size/3)
		var wire bytes.Buffer
		if err := errors.Join(writeRequest(&wire, data, roomy), writeAnswer(&wire, data, true, roomy)); err != nil {
			t.Fatal(err)
		}
		r, err := readRequest(&wire)
		if err != nil || !bytes.Equal(r.data, data) || r.limits != roomy {
			t.Errorf("request of %d bytes: %d, %+v, %v", size, len(r.data), r.limits, err)
		}
		answer, full, err := readAnswer(&wire, roomy, nil)
		if err != nil || !full || !bytes.Equal(answer, data) {
			t.Errorf("answer of %d bytes: %d, %v, %v", size, len(answer), full, err)
		}
	}
}

func TestAProgramThatDoesNotServeHasNoChildren(t *testing.T) {
	p := newPool(t, 1)
	serving.Store(false)
	_, err := call(t, p, "work", roomy)
	serving.Store(true)
	if !errors.Is(err, ErrNotServing) {
		t.Errorf("not told to serve: %v", err)
	}
	t.Setenv(marker, "1")
	if _, err := call(t, p, "work", roomy); !errors.Is(err, ErrNotServing) {
		t.Errorf("in a child: %v", err)
	}
}

func FuzzAnswer(f *testing.F) {
	for _, data := range []string{"", "a\x00\x00\x00\x00\x00\x00\x00\x02ok", "t\x00\x00\x00\x00\x00\x00\x00\x00", "a\xff\xff\xff\xff\xff\xff\xff\xffx", "l\x00\x00\x00\x00\x00\x80\x00\x00", "q\x00\x00\x00\x00\x00\x00\x00\x01?a\x00\x00\x00\x00\x00\x00\x00\x00"} {
		f.Add([]byte(data))
	}
	limits := Limits{Output: 1 << 24}
	f.Fuzz(func(t *testing.T, data []byte) {
		answer, _, err := readAnswer(bytes.NewReader(data), limits, func(question []byte) error {
			if len(question) > len(data) {
				t.Errorf("a question of %d bytes from %d", len(question), len(data))
			}
			return nil
		})
		if err == nil && len(answer) > len(data) {
			t.Errorf("%d bytes from %d", len(answer), len(data))
		}
		if r, err := readRequest(bytes.NewReader(data)); err == nil && len(r.data) > len(data) {
			t.Errorf("a request of %d bytes from %d", len(r.data), len(data))
		}
	})
}

func BenchmarkCall(b *testing.B) {
	p := New(1)
	b.Cleanup(p.Close)
	for b.Loop() {
		if _, err := p.Call(b.Context(), []byte("work"), nil, roomy); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		c, err := start(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		closeAll([]*os.File{c.in})
		_, _ = c.wait()
	}
}
