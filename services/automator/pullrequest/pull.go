package pullrequest

import (
	"errors"
	"fmt"
	"strconv"
)

// pull is a pull request with what its host wants to see again.
type pull struct {
	PR
	fork      bool // its head is of another repository
	labels    []string
	reviewers []string
	version   int64
}

func unknownState(state string) error {
	return fmt.Errorf("read the pull request: %q is no state that we know", state)
}

// complete demands what every host tells of a pull request.
func (p pull) complete() error {
	if p.Number <= 0 || p.Base == "" || p.Head == "" {
		return errors.New("read the pull request: number, base or head is missing")
	}
	return nil
}

// pulls reads many, in the shape of any host.
func pulls[T interface{ pull() (pull, error) }](all []T) ([]pull, error) {
	var read []pull
	for _, one := range all {
		p, err := one.pull()
		if err != nil {
			return nil, err
		}
		read = append(read, p)
	}
	return read, nil
}

func number(n int64) string { return strconv.FormatInt(n, 10) }
