package automator

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// diffContext is how many lines stand around a change.
const diffContext = 3

// PrintableName is a file's name, in Go's quotes where a terminal, or a script
// that reads lines, could take it for something else.
func PrintableName(name string) string {
	if strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
		return strconv.Quote(name)
	}
	return name
}

// Diff is the edit as a unified diff, with name in its head. It takes time by
// the size of the file, since an edit only ever changes a few lines in one
// place.
func (e Edit) Diff(name string) string {
	was, now := lines(e.Before), lines(e.Now)
	changes := compare(was, now)
	var b strings.Builder
	if len(changes) > 0 {
		fmt.Fprintf(&b, "--- %s\n+++ %s\n", PrintableName("a/"+name), PrintableName("b/"+name))
	}
	for len(changes) > 0 {
		n := 1
		for n < len(changes) && changes[n].was-changes[n-1].wasEnd <= 2*diffContext {
			n++
		}
		hunk(&b, was, now, changes[:n])
		changes = changes[n:]
	}
	return b.String()
}

// change is a run of lines, from 0, that became another run.
type change struct{ was, wasEnd, now, nowEnd int }

// compare walks both texts. Where they part it looks for the nearest lines at
// which they meet again.
func compare(was, now []string) (all []change) {
	i, j := 0, 0
	for i < len(was) || j < len(now) {
		if i < len(was) && j < len(now) && was[i] == now[j] {
			i, j = i+1, j+1
			continue
		}
		c := change{i, len(was), j, len(now)}
		for k := 1; k <= 64 && c.wasEnd == len(was) && c.nowEnd == len(now); k++ {
			for p := range k + 1 {
				if meet(was, now, i+p, j+k-p) {
					c.wasEnd, c.nowEnd = i+p, j+k-p
					break
				}
			}
		}
		i, j = c.wasEnd, c.nowEnd
		if last := len(all) - 1; last >= 0 && all[last].wasEnd == c.was && all[last].nowEnd == c.now {
			all[last].wasEnd, all[last].nowEnd = i, j
			continue
		}
		all = append(all, c)
	}
	return all
}

// meet says whether two lines and those below them are equal.
func meet(was, now []string, i, j int) bool {
	for n := range 2 {
		if i+n >= len(was) || j+n >= len(now) {
			return i+n == len(was) && j+n == len(now)
		}
		if was[i+n] != now[j+n] {
			return false
		}
	}
	return true
}

func hunk(b *strings.Builder, was, now []string, changes []change) {
	first, last := changes[0], changes[len(changes)-1]
	before := min(diffContext, first.was)
	end := min(last.wasEnd+diffContext, len(was))
	i := first.was - before
	fmt.Fprintf(b, "@@ -%s +%s @@\n", extent(i, end-i), extent(first.now-before, last.nowEnd+end-last.wasEnd-first.now+before))
	for _, c := range changes {
		put(b, " ", was[i:c.was])
		put(b, "-", was[c.was:c.wasEnd])
		put(b, "+", now[c.now:c.nowEnd])
		i = c.wasEnd
	}
	put(b, " ", was[i:end])
}

// extent is where a hunk begins and how long it is, as diff writes it.
func extent(start, count int) string {
	switch count {
	case 0:
		return fmt.Sprintf("%d,0", start)
	case 1:
		return fmt.Sprint(start + 1)
	}
	return fmt.Sprintf("%d,%d", start+1, count)
}

func put(b *strings.Builder, sign string, lines []string) {
	for _, l := range lines {
		b.WriteString(sign + l)
		if !strings.HasSuffix(l, "\n") {
			b.WriteString("\n\\ No newline at end of file\n")
		}
	}
}

// lines cuts a text behind its line feeds.
func lines(data []byte) []string {
	all := strings.SplitAfter(string(data), "\n")
	if all[len(all)-1] == "" {
		all = all[:len(all)-1]
	}
	return all
}
