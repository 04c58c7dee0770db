"""The use cases: analyse, what-if, compare, chat, gate. They call agents and connectors in order; they know no HTTP and no terminal."""
