"""The language half: conversations, packing, planning, DeepSpeed fine-tuning, evaluation and safety."""
