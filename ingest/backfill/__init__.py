"""Files straight into the warehouse, once, with an end.

    files ─ claims (what is refused) ─ survey ─ decision ─ intake ─ outcome
                                         │                    │
                        chains, content ─┘                    └─ feed ─ open range ─ commit

A content (what a file holds, decompressed) has a chain of its own, whose name is made from its first bytes and whose
commits say the digest of all that they cover. So every run finds again what earlier ones did, wherever they ended:
`decision` has the rules.
"""
