package service

import (
	"fmt"

	"github.com/slipway-cd/slipway/shared/bases"
)

func (c Config) validateBases(f *faults) {
	for i, text := range c.RemoteBases {
		if _, err := bases.ParseAllowed([]string{text}); err != nil {
			f.add(fmt.Sprintf("remoteBases[%d]", i), "%v", err)
		}
	}
}
