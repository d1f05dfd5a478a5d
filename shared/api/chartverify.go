package api

import (
	"errors"
	"fmt"
)

// ChartVerify wants the chart of a registry to be signed.
type ChartVerify struct {
	Cosign *ChartCosign `json:"cosign,omitempty"`
}

// ChartCosign wants a signature by one of the keys, or by one of the
// identities: exactly one of the two is given.
type ChartCosign struct {
	// Keys are Secrets of the Application's namespace whose values are public
	// keys in PEM form. Of one that has keys named *.pub, as cosign's own have,
	// only those count.
	Keys    []string      `json:"keys,omitempty"`
	Keyless *ChartKeyless `json:"keyless,omitempty"`
}

// ChartKeyless wants a signature by an identity that a certificate authority of
// Sigstore's kind (Fulcio) has vouched for.
type ChartKeyless struct {
	// Roots is a Secret of the Application's namespace whose trusted_root.json
	// says which authorities, logs and time stamps are believed; empty: those of
	// the config, which are the public Sigstore's where it names no others.
	Roots string `json:"roots,omitempty"`
	// Identities are those who may sign; any of them suffices.
	Identities []Identity `json:"identities"`
}

// RootsKey is the key of a Secret that has a trusted root.
const RootsKey = "trusted_root.json"

func (h *HelmSource) validateVerify() error {
	const at = "spec.source.helm.verify"
	v := h.Verify
	if v == nil {
		return nil
	}
	var faults []error
	if ref, remote := h.Remote(); !remote || !ref.OCI() {
		faults = append(faults, errors.New(at+" is for a chart of a registry: give its oci:// address in repository, or take it out"))
	}
	if v.Cosign == nil || (len(v.Cosign.Keys) == 0) == (v.Cosign.Keyless == nil) {
		return errors.Join(append(faults, errors.New(at+".cosign: give exactly one of keys (names of Secrets with public keys) and keyless"))...)
	}
	for i, name := range v.Cosign.Keys {
		if !ObjectName(name) {
			faults = append(faults, fmt.Errorf(at+".cosign.keys[%d]: %q is not the name of a Secret of the Application's own namespace", i, name))
		}
	}
	if k := v.Cosign.Keyless; k != nil {
		if k.Roots != "" && !ObjectName(k.Roots) {
			faults = append(faults, fmt.Errorf(at+".cosign.keyless.roots: %q is not the name of a Secret of the Application's own namespace", k.Roots))
		}
		if err := validateIdentities(k.Identities); err != nil {
			faults = append(faults, fmt.Errorf(at+".cosign.keyless: %w", err))
		}
	}
	return errors.Join(faults...)
}
