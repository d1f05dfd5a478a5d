package freeport_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/slipway-cd/slipway/shared/freeport"
)

// TestMain lets the test run itself as another process that takes ports.
func TestMain(m *testing.M) {
	if os.Getenv("TAKE_PORTS") == "" {
		os.Exit(m.Run())
	}
	for range 200 {
		port, err := freeport.Take()
		if err != nil {
			panic(err)
		}
		fmt.Println(port)
	}
	fmt.Println("done")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n') // holds them until it is told
}

// With four processes that hold two hundred each, by chance alone many a port
// would be given twice.
func TestAPortIsGivenOnce(t *testing.T) {
	var mu sync.Mutex
	given := map[string]bool{}
	var all sync.WaitGroup
	for range 4 {
		cmd := exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0])
		cmd.Env = append(os.Environ(), "TAKE_PORTS=1")
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = in.Close()
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
		})
		all.Go(func() {
			lines := bufio.NewScanner(out)
			for lines.Scan() && lines.Text() != "done" {
				mu.Lock()
				if given[lines.Text()] {
					t.Errorf("port %s was given twice", lines.Text())
				}
				given[lines.Text()] = true
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if len(given) != 800 {
		t.Errorf("%d ports were given, want 800", len(given))
	}
}

func TestAPortCanBeListenedOn(t *testing.T) {
	addr, err := freeport.Address()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(addr, "127.0.0.1:") {
		t.Errorf("address %q isn't this machine's own", addr)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
}
