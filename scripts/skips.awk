# Reads the events of `go test -json` and prints each skipped test with its reason: the last line it wrote before "--- SKIP".
function field(name,   at, rest) {
  at = index($0, "\"" name "\":\"")
  if (!at) return ""
  rest = substr($0, at + length(name) + 4)
  return substr(rest, 1, match(rest, /[^\\]"/))
}
{ key = field("Package") " " field("Test"); action = field("Action") }
action == "output" && /_test\.go:[0-9]+: / {
  text = field("Output")
  sub(/^ *[^ ]*_test\.go:[0-9]+: /, "", text)
  sub(/\\n$/, "", text)
  said[key] = text
}
action == "skip" && /"Test":"/ { print "  " key ": " said[key] }
