// Package expand replaces ${NAME} in text, by the grammar that Flux documents
// for post-build substitution (fluxcd/pkg/envsubst, of drone/envsubst), which is
// a part of bash's parameter expansion:
//
//	${V}                   the value; an error where there is none
//	${V:=text} ${V:-text}  the text where V has no value or an empty one; so ${V=text}
//	${V^} ${V^^} ${V,} ${V,,}        first letter, all letters, in upper or lower case
//	${V:2} ${V:2:3} ${V: -3} ${V:0:-1}  characters, by offset and length
//	${V/a/b} ${V//a/b} ${V/#a/b} ${V/%a/b}  the first a, each, at the start, at the end
//	${V#p} ${V##p} ${V%p} ${V%%p}    without the shortest or longest p (* ? [a-z]) at start or end
//	${#V}                  how many characters
//	$$                     a single $, but in a default: $${V} stays ${V}
//
// Words may hold further expressions. $V without braces is text. What other
// tools read in two ways is an error here: ${V:?x} and ${V:+x}, which Flux takes
// for a default, and offsets that are no numbers.
package expand
