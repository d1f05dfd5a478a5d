package manifest

import (
	"bytes"
	"path"
	"strings"

	"github.com/slipway-cd/slipway/events"
)

// mayHold spares the reading of documents that can't hold a reference to one
// of the images: the last part of its name isn't there, nor an escape that
// could hide it, nor a marker that could stand for it.
func mayHold(data []byte, images []events.Image) bool {
	for _, i := range images {
		if bytes.Contains(data, []byte(path.Base(i.Repository.Path))) {
			return true
		}
	}
	return bytes.IndexByte(data, '\\') >= 0 || bytes.Contains(data, markerKey)
}

// mention finds the first line of a text that can't be read (a template, a
// value with a variable) that names the image as a reference would: followed
// by a tag or digest, or in a field for images. The line counts from 0.
func mention(text string, image events.Image, aliases events.Aliases) (line int, found bool) {
	for l := range strings.Lines(text) {
		if names(l, image.Repository, aliases) {
			return line, true
		}
		line++
	}
	return 0, false
}

// names says whether a line has the repository's name as a whole.
func names(line string, repo events.ImageRepository, aliases events.Aliases) bool {
	short := repo.Path
	if repo.Host == "docker.io" {
		short = strings.TrimPrefix(short, "library/")
	}
	lower := strings.ToLower(line)
	field := strings.Contains(lower, "image") || strings.Contains(lower, "repository")
	for from := 0; ; {
		i := strings.Index(line[from:], short)
		if i < 0 {
			return false
		}
		start, end := from+i, from+i+len(short)
		from = start + 1
		after := line[end:]
		if after != "" && (inName(after[0]) || after[0] == '/') {
			continue
		}
		reference := len(after) > 1 && (after[0] == '@' || (after[0] == ':' && after[1] > ' '))
		if (reference || field) && hostFits(line[:start], repo, aliases) {
			return true
		}
	}
}

func inName(c byte) bool {
	return c == '_' || c == '-' || c == '.' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
}

// hostFits says whether what stands before a path may be the image's host: it
// is, or it is a variable that could be.
func hostFits(before string, repo events.ImageRepository, aliases events.Aliases) bool {
	host, found := strings.CutSuffix(before, "/")
	if !found {
		return repo.Host == "docker.io" && (before == "" || !inName(before[len(before)-1]))
	}
	if strings.HasSuffix(host, "}") || strings.HasSuffix(host, ")") {
		return true
	}
	i := len(host)
	for i > 0 && (inName(host[i-1]) || strings.IndexByte(":/$", host[i-1]) >= 0) {
		i--
	}
	host = host[i:]
	if strings.Contains(host, "$") {
		return true
	}
	named, err := events.ParseImageRepository(host+"/"+strings.TrimPrefix(repo.Path, "library/"), aliases)
	if err != nil || named != repo {
		named, err = events.ParseImageRepository(host+"/"+repo.Path, aliases)
	}
	return err == nil && named == repo
}
