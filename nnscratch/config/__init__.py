"""From YAML text to what a run is made of. In the order in which a config passes through:

document (text, by the words of yaml_core) -> node (values and their places) -> plugins -> shorthand (one form for all)
-> overrides (with override_value) -> sections and config (fields and bounds), with specification for components ->
consistency -> problems (what is wrong, in plain words) -> Config -> assembly (data, network, recipe, trainer).

Beside the way: names and numbers (rules that others share), arguments (a command line), schema (for editors).
"""
