package promote

import (
	"cmp"
	"encoding/binary"
	"hash/fnv"
	"slices"
	"sort"

	"github.com/slipway-cd/slipway/events"
)

// imageSet is a set of image repositories that may have some more: four bytes of a hash
// of each, in order, so that the set of a large repository stays small. Nil, as who knew
// no sets has written it, has all.
type imageSet []byte

const imageSum = 4 // bytes

func sumOf(image events.ImageRepository) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(image.String())) // a hash never errs
	return h.Sum32()
}

func setOf(images []events.ImageRepository) imageSet {
	sums := make([]uint32, 0, len(images))
	for _, image := range images {
		sums = append(sums, sumOf(image))
	}
	slices.Sort(sums)
	set := make(imageSet, 0, len(sums)*imageSum)
	for _, sum := range slices.Compact(sums) {
		set = binary.BigEndian.AppendUint32(set, sum)
	}
	return set
}

// has says whether the image may be in it. What can't be a set has all.
func (s imageSet) has(image events.ImageRepository) bool {
	if s == nil || len(s)%imageSum != 0 {
		return true
	}
	want := sumOf(image)
	_, found := sort.Find(len(s)/imageSum, func(i int) int { return cmp.Compare(want, binary.BigEndian.Uint32(s[i*imageSum:])) })
	return found
}
