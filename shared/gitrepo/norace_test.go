//go:build !race

package gitrepo

// raceDetector says that memory and times are not the real ones.
const raceDetector = false
