package manifest

import (
	"bytes"
	"strings"
)

// chunk is one document of a file, with the separator above it.
type chunk struct {
	data []byte
	line int // of its first byte, from 1
}

// split cuts a file above every "---" that begins a line, which ends a
// document wherever it stands. Each document is then read by itself, as
// kubectl does: one that can't be read spoils no other, and only those that
// may hold a reference cost anything. A file with directives stays whole,
// since they belong to the document below them.
func split(data []byte) []chunk {
	if bytes.HasPrefix(data, []byte("%")) || bytes.Contains(data, []byte("\n%")) {
		return []chunk{{data, 1}}
	}
	var all []chunk
	start, startLine, line := 0, 1, 1
	for at := 0; at < len(data); line++ {
		if at > start && separates(data[at:]) {
			all = append(all, chunk{data[start:at], startLine})
			start, startLine = at, line
		}
		n := bytes.IndexByte(data[at:], '\n')
		if n < 0 {
			break
		}
		at += n + 1
	}
	return append(all, chunk{data[start:], startLine})
}

func separates(line []byte) bool {
	return bytes.HasPrefix(line, []byte("---")) && (len(line) == 3 || strings.IndexByte(" \t\r\n", line[3]) >= 0)
}
