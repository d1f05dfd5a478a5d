package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/charmbracelet/lipgloss"
)

// screen prints what happens, for people: in colour and with a clock that
// ticks on a terminal, plainly elsewhere.
type screen struct {
	out      io.Writer
	terminal bool
	mu       sync.Mutex
	waiting  bool // a line without its end is on the terminal
}

var (
	bold  = lipgloss.NewStyle().Bold(true)
	faint = lipgloss.NewStyle().Faint(true)
	good  = lipgloss.NewStyle().Foreground(lipgloss.Color("2"))
	blue  = lipgloss.NewStyle().Foreground(lipgloss.Color("6"))
)

func newScreen(out *os.File) *screen {
	info, err := out.Stat()
	return &screen{out: out, terminal: err == nil && info.Mode()&os.ModeCharDevice != 0}
}

// title begins a part of the demo.
func (s *screen) title(format string, args ...any) {
	s.line("\n" + bold.Render(fmt.Sprintf(format, args...)))
}

// done tells of something that is there now.
func (s *screen) done(format string, args ...any) {
	s.line("  " + good.Render("✓") + " " + fmt.Sprintf(format, args...))
}

func (s *screen) line(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
	fmt.Fprintln(s.out, text)
}

func (s *screen) clear() {
	if s.waiting {
		fmt.Fprint(s.out, "\r\033[K")
		s.waiting = false
	}
}

// wait shows that something takes its time, with a clock, until the returned
// function is called.
func (s *screen) wait(what string) (end func()) {
	start := time.Now()
	if !s.terminal {
		s.line("  … " + what)
		return func() {}
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				s.mu.Lock()
				fmt.Fprintf(s.out, "\r\033[K  %s %s %s", blue.Render("…"), what, faint.Render(time.Since(start).Round(time.Second).String()))
				s.waiting = true
				s.mu.Unlock()
			}
		}
	}()
	return func() {
		close(stop)
		<-stopped
		s.mu.Lock()
		defer s.mu.Unlock()
		s.clear()
	}
}

// field prints a name and a value below a title.
func (s *screen) field(name, value string) {
	s.line("  " + name + strings.Repeat(" ", max(1, 16-len(name))) + blue.Render(value))
}
