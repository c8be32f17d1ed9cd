"""What `import lassl` gives: trained models, scores and short trainings, without files or a project's folder."""
