package sandbox

import (
	"encoding/binary"
	"errors"
	"io"
	"time"
)

// greeting is what a child says first.
const greeting = "slipway child 1\n"

// maxRequest bounds a request: what a render may read, as JSON.
const maxRequest = 1 << 30

// request is one call, as the child sees it.
type request struct {
	limits Limits
	data   []byte
}

// A request is the limits (time, memory, output) and the length of its data,
// four numbers of 8 bytes, big-endian, and then the data.
const requestHead = 4 * 8

func writeRequest(w io.Writer, data []byte, limits Limits) error {
	head := make([]byte, 0, requestHead)
	for _, n := range []int64{int64(limits.Time), limits.Memory, limits.Output, int64(len(data))} {
		head = binary.BigEndian.AppendUint64(head, uint64(n))
	}
	if _, err := w.Write(head); err != nil {
		return err
	}
	_, err := w.Write(data)
	return err
}

func readRequest(r io.Reader) (request, error) {
	var head [requestHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return request{}, err
	}
	number := func(i int) int64 { return int64(binary.BigEndian.Uint64(head[8*i:]) & (1<<63 - 1)) }
	q := request{limits: Limits{Time: time.Duration(number(0)), Memory: number(1), Output: number(2)}}
	var err error
	q.data, err = readData(r, number(3), maxRequest)
	return q, err
}

// What an answer begins with: whether the child can be used again, that there
// is no answer, since it would be too long, or that it is a question, to which
// a request with the same limits is the answer.
const (
	again    = 'a'
	last     = 'l'
	tooLong  = 't'
	question = 'q'
)

// maxQuestion bounds a question, in bytes.
const maxQuestion = 1 << 20

func writeQuestion(w io.Writer, data []byte) error {
	if len(data) > maxQuestion {
		data = data[:maxQuestion]
	}
	head := binary.BigEndian.AppendUint64([]byte{question}, uint64(len(data)))
	_, err := w.Write(append(head, data...))
	return err
}

// An answer is one of these and the length of its data, 8 bytes, and then the
// data.
func writeAnswer(w io.Writer, data []byte, full bool, limits Limits) error {
	head := []byte{again}
	switch {
	case int64(len(data)) > limits.Output:
		head[0], data = tooLong, nil
	case full:
		head[0] = last
	}
	head = binary.BigEndian.AppendUint64(head, uint64(len(data)))
	if _, err := w.Write(head); err != nil {
		return err
	}
	_, err := w.Write(data)
	return err
}

var errAnswer = errors.New("the answer can't be read")

// readAnswer reads one. In between it answers questions with reply; nil: there
// are none.
func readAnswer(r io.Reader, limits Limits, reply func(question []byte) error) (data []byte, full bool, err error) {
	for {
		var head [9]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return nil, true, err
		}
		length := int64(binary.BigEndian.Uint64(head[1:]) & (1<<63 - 1))
		switch {
		case head[0] == question && reply != nil:
			asked, err := readData(r, length, maxQuestion)
			if err == nil {
				err = reply(asked)
			}
			if err != nil {
				return nil, true, err
			}
			continue
		case head[0] == tooLong || length > limits.Output:
			return nil, true, &LimitError{Limit: Output, Limits: limits}
		case head[0] != again && head[0] != last:
			return nil, true, errAnswer
		}
		data, err = readData(r, length, limits.Output)
		return data, head[0] == last, err
	}
}

// readData reads so many bytes. It takes the memory as they come: a length is
// a claim.
func readData(r io.Reader, length, most int64) ([]byte, error) {
	if length > most {
		return nil, errAnswer
	}
	const step = 1 << 20
	data := make([]byte, 0, min(length, step))
	for int64(len(data)) < length {
		from := len(data)
		n := min(length-int64(from), max(step, int64(from)))
		data = append(data, make([]byte, n)...)
		if _, err := io.ReadFull(r, data[from:]); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	return data, nil
}
