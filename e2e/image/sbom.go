package image

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// SPDX is the media type of our bills of materials, which is also what their
// artifacts are called (https://spdx.github.io/spdx-spec/v2.3/).
const SPDX types.MediaType = "application/spdx+json"

// document is an SPDX 2.3 document, as far as we have something to say.
type document struct {
	SPDXVersion       string     `json:"spdxVersion"`
	DataLicense       string     `json:"dataLicense"`
	SPDXID            string     `json:"SPDXID"`
	Name              string     `json:"name"`
	DocumentNamespace string     `json:"documentNamespace"`
	CreationInfo      creation   `json:"creationInfo"`
	Packages          []module   `json:"packages"`
	Relationships     []relation `json:"relationships"`
}

type creation struct {
	Created  string   `json:"created"`
	Creators []string `json:"creators"`
}

type module struct {
	SPDXID           string      `json:"SPDXID"`
	Name             string      `json:"name"`
	VersionInfo      string      `json:"versionInfo,omitempty"`
	DownloadLocation string      `json:"downloadLocation"`
	FilesAnalyzed    bool        `json:"filesAnalyzed"`
	Checksums        []checksum  `json:"checksums,omitempty"`
	ExternalRefs     []reference `json:"externalRefs,omitempty"`
}

type checksum struct {
	Algorithm string `json:"algorithm"`
	Value     string `json:"checksumValue"`
}

type reference struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

type relation struct {
	Element string `json:"spdxElementId"`
	Type    string `json:"relationshipType"`
	Related string `json:"relatedSpdxElement"`
}

// BOM lists the modules that a Go program is linked from, the standard library
// among them, by what the linker wrote into it.
func BOM(name string, program []byte) ([]byte, error) {
	info, err := buildinfo.Read(bytes.NewReader(program))
	if err != nil {
		return nil, fmt.Errorf("list the modules of %s: %w", name, err)
	}
	sum := sha256.Sum256(program)
	hash := hex.EncodeToString(sum[:])
	const main = "SPDXRef-program"
	d := document{
		SPDXVersion: "SPDX-2.3", DataLicense: "CC0-1.0", SPDXID: "SPDXRef-DOCUMENT", Name: name,
		DocumentNamespace: "https://github.com/slipway-cd/slipway/sbom/" + name + "-" + hash,
		CreationInfo:      creation{Created: epoch.Format("2006-01-02T15:04:05Z"), Creators: []string{"Tool: slipway-images"}},
		Packages: []module{{
			SPDXID: main, Name: name, DownloadLocation: "NOASSERTION",
			Checksums: []checksum{{"SHA256", hash}}, ExternalRefs: purl(info.Main.Path, ""),
		}},
		Relationships: []relation{{"SPDXRef-DOCUMENT", "DESCRIBES", main}},
	}
	add := func(path, version string) {
		id := fmt.Sprintf("SPDXRef-module-%d", len(d.Packages))
		d.Packages = append(d.Packages, module{
			SPDXID: id, Name: path, VersionInfo: version, DownloadLocation: "NOASSERTION", ExternalRefs: purl(path, version),
		})
		d.Relationships = append(d.Relationships, relation{main, "CONTAINS", id})
	}
	add("std", strings.TrimPrefix(info.GoVersion, "go"))
	for _, m := range info.Deps {
		if m.Replace != nil && m.Replace.Version != "" {
			m = m.Replace // by another module; a folder of ours has no version, and keeps its name
		}
		add(m.Path, version(m.Version))
	}
	return json.MarshalIndent(d, "", " ")
}

// version leaves out what a workspace writes for its own modules.
func version(v string) string {
	if v == "(devel)" {
		return ""
	}
	return v
}

// purl is how a Go module is named elsewhere
// (https://github.com/package-url/purl-spec).
func purl(path, version string) []reference {
	p := "pkg:golang/" + path
	if version != "" {
		p += "@" + url.QueryEscape(version)
	}
	return []reference{{"PACKAGE-MANAGER", "purl", p}}
}

// Referrer wraps a bill of materials as an artifact that refers to its image
// (OCI image specification 1.1, subject).
func Referrer(image v1.Image, bom []byte) (v1.Image, error) {
	subject, err := descriptor(image)
	if err != nil {
		return nil, fmt.Errorf("refer to the image: %w", err)
	}
	artifact := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), SPDX)
	artifact, err = mutate.AppendLayers(artifact, static.NewLayer(bom, SPDX))
	if err != nil {
		return nil, fmt.Errorf("wrap the bill of materials: %w", err)
	}
	return mutate.Subject(artifact, subject).(v1.Image), nil
}

func descriptor(image v1.Image) (v1.Descriptor, error) {
	size, err := image.Size()
	if err != nil {
		return v1.Descriptor{}, err
	}
	digest, err := image.Digest()
	if err != nil {
		return v1.Descriptor{}, err
	}
	kind, err := image.MediaType()
	return v1.Descriptor{MediaType: kind, Size: size, Digest: digest}, err
}

// Index joins the images of one program for several platforms.
func Index(images map[string]v1.Image) (v1.ImageIndex, error) {
	platforms := make([]string, 0, len(images))
	for p := range images {
		platforms = append(platforms, p)
	}
	slices.Sort(platforms)
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, text := range platforms {
		platform, err := v1.ParsePlatform(text)
		if err != nil {
			return nil, fmt.Errorf("join the images: %w", err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: images[text], Descriptor: v1.Descriptor{Platform: platform}})
	}
	return index, nil
}
